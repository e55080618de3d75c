"""What Spark takes to read a table over one and more connections: its columns, and pseudonyms that the query makes of one.

For test/bench/nodes.sh: the JDBC address, the file of the driver, how many rows "people" has, how many rounds.  Each round has all
cases, in random order.  Prints "case|milliseconds".
"""
import random
import sys
import time

from pyspark.sql import SparkSession

QUERIES = {
    "plain columns": "(SELECT id, email FROM people) AS people",
    "pseudonyms": "(SELECT id, pseudo.pseudonymize(email, true) AS email FROM people) AS people",
}

url, driver, rows, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
spark = (
    SparkSession.builder.master("local[4]")
    .config("spark.jars", driver)
    .config("spark.ui.enabled", "false")
    .config("spark.driver.host", "127.0.0.1")
    .getOrCreate()
)


def read(query, connections):
    """Read all rows, and throw them away; returns the milliseconds."""
    start = time.monotonic()
    (
        spark.read.format("jdbc")
        .option("url", url)
        .option("driver", "org.postgresql.Driver")
        .option("fetchsize", 10000)
        .option("dbtable", query)
        .option("partitionColumn", "id")
        .option("lowerBound", 1)
        .option("upperBound", rows + 1)
        .option("numPartitions", connections)
        .load()
        .write.format("noop")
        .mode("overwrite")
        .save()
    )
    return 1000 * (time.monotonic() - start)


# The first round is for Java's compiler.
cases = [(name, connections) for name in QUERIES for connections in (1, 2, 4)]
for round_no in range(rounds + 1):
    for name, connections in random.sample(cases, len(cases)):
        milliseconds = read(QUERIES[name], connections)
        if round_no > 0:
            print(f"Spark, {name}, {connections} connection{'s' * (connections > 1)}|{milliseconds:.1f}", flush=True)
spark.stop()
