"""Reads the table people into a frame, with pseudonyms, and prints it.  PGHOST, PGDATABASE and so on say where it is."""
import pandas
import sqlalchemy

QUERY = sqlalchemy.text("""
    SELECT id, pseudo.pseudonymize(name) AS name, pseudo.pseudonymize(email, true) AS email
        FROM people WHERE id <= :last ORDER BY id
""")

engine = sqlalchemy.create_engine("postgresql+psycopg://")
people = pandas.read_sql(QUERY, engine, params={"last": 1000})
print(people.to_csv(index=False), end="")
