"""Loads CSV from standard input into the table customers, all of it or nothing.  Its trigger makes the pseudonyms."""
import sys

import psycopg

with psycopg.connect() as connection, connection.cursor() as cursor:
    with cursor.copy("COPY customers (id, name, email) FROM STDIN (FORMAT csv, HEADER)") as copy:
        while data := sys.stdin.buffer.read(65536):
            copy.write(data)
