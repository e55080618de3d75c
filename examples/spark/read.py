"""Reads the table people in four parts and writes it to a folder, with pseudonyms: the address of the database, the folder."""
import sys

from pyspark.sql import SparkSession

url, folder = sys.argv[1:]
spark = SparkSession.builder.config("spark.jars", "/usr/share/java/postgresql.jar").getOrCreate()

# PostgreSQL computes what is in the subquery: Spark gets pseudonyms only.
people = (
    spark.read.format("jdbc")
    .option("url", url)
    .option("driver", "org.postgresql.Driver")
    .option("user", "reader")
    .option("dbtable", "(SELECT id, pseudo.pseudonymize(email, true) AS email FROM people) AS people")
    .option("partitionColumn", "id")
    .option("lowerBound", 1)
    .option("upperBound", 1001)
    .option("numPartitions", 4)
    .load()
)
people.write.csv(folder, header=True)
spark.stop()
