"""Prints what has changed since it was last called, a line of JSON each: the slot, the publication.

It decodes what the plugin pgoutput sends, as Debezium does.  PGHOST, PGDATABASE and so on say where the database is.
"""
import json
import struct
import sys

import psycopg

CHANGES = """
    SELECT data FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL, 'proto_version', '1', 'publication_names', %s)
"""


class Message:
    """The fields of a message, one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, form):
        (value,) = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return value

    def letter(self):
        return chr(self.number("B"))

    def string(self):
        end = self.data.index(0, self.at)
        value, self.at = self.data[self.at : end].decode(), end + 1
        return value

    def row(self, columns):
        row = {}
        for name in columns[: self.number("h")]:
            kind = self.letter()
            if kind == "t":
                length = self.number("i")
                row[name] = self.data[self.at : self.at + length].decode()
                self.at += length
            elif kind == "n":
                row[name] = None
        return row


def read(message, relations):
    """Returns a change, or None for a message that is none."""
    kind = message.letter()
    if kind == "R":
        oid, schema, table = message.number("I"), message.string(), message.string()
        message.letter()
        columns = []
        for _ in range(message.number("h")):
            message.number("B")
            columns.append(message.string())
            message.number("q")
        relations[oid] = f"{schema}.{table}", columns
    elif kind in "IUD":
        table, columns = relations[message.number("I")]
        change = {"table": table, "change": {"I": "insert", "U": "update", "D": "delete"}[kind]}
        while message.at < len(message.data):
            part = "new" if message.letter() == "N" else "old"
            change[part] = message.row(columns)
        return change
    return None


relations = {}
with psycopg.connect() as connection:
    for (data,) in connection.execute(CHANGES, sys.argv[1:3]):
        if change := read(Message(data), relations):
            print(json.dumps(change))
