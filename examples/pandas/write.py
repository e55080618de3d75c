"""Appends a CSV file to the table customers.  Its trigger makes the pseudonyms."""
import sys

import pandas
import sqlalchemy

# Else an error of SQLAlchemy's shows the values that were to be written.
engine = sqlalchemy.create_engine("postgresql+psycopg://", hide_parameters=True)

# "append" keeps the table.  "replace" would drop it, and its trigger, labels and grants with it.
customers = pandas.read_csv(sys.argv[1])
customers.to_sql("customers", engine, if_exists="append", index=False, chunksize=10000)
