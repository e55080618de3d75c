"""Writes the table people to standard output, as CSV with pseudonyms.  PGHOST, PGDATABASE and so on say where it is."""
import sys

import psycopg

QUERY = """
    COPY (SELECT id, pseudo.pseudonymize(name) AS name, pseudo.pseudonymize(email, true) AS email FROM people)
    TO STDOUT (FORMAT csv, HEADER)
"""

with psycopg.connect() as connection, connection.cursor() as cursor, cursor.copy(QUERY) as copy:
    for data in copy:
        sys.stdout.buffer.write(data)
