"""Loads a CSV file into the table customers, all of it or nothing: the address of the database, the file."""
import sys

import psycopg
from pyspark.sql import SparkSession

url, file = sys.argv[1:]
spark = SparkSession.builder.config("spark.jars", "/usr/share/java/postgresql.jar").getOrCreate()

# Each task of Spark commits for itself, and may run twice: so not into the table.  Without "truncate", "overwrite" drops it.
(
    spark.read.csv(file, header=True, schema="id int, name string, email string")
    .write.format("jdbc")
    .mode("overwrite")
    .option("truncate", "true")
    .option("url", url)
    .option("driver", "org.postgresql.Driver")
    .option("user", "loader")
    .option("dbtable", "staging.customers")
    .save()
)
spark.stop()

# One transaction; the trigger of the table makes the pseudonyms.
with psycopg.connect(url.removeprefix("jdbc:"), user="loader") as connection:
    connection.execute("INSERT INTO customers (id, name, email) SELECT id, name, email FROM staging.customers")
    connection.execute("TRUNCATE staging.customers")
