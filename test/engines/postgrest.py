"""Takes the place of PostgREST for test/engines/rest.pl: its configuration file.

What its documentation says of calls by POST, and no more: the token's role, the settings of a transaction, the function
"pre-request", and the function of the path, whose arguments are the members of the body.
"""
import base64
import hashlib
import hmac
import http.server
import json
import re
import sys

import psycopg
from psycopg import sql

with open(sys.argv[1], encoding="utf-8") as file:
    conf = {key: value.strip('"') for key, value in re.findall(r'^([a-z-]+) = ("[^"]*"|\S+)$', file.read(), re.M)}
with open(conf["jwt-secret"].removeprefix("@"), "rb") as file:
    SECRET = file.read()

ARGUMENTS = """
    SELECT p.provolatile = 'v', array_agg(t.name), array_agg(format_type(t.type, NULL))
        FROM pg_proc p, unnest(p.proargnames, p.proargtypes::oid[]) t(name, type)
        WHERE p.pronamespace = %s::regnamespace AND p.proname = %s GROUP BY p.oid
"""
CALL = """
    WITH pgrst_source AS (
        SELECT pgrst_call.pgrst_scalar
            FROM (SELECT %s::json AS json_data) pgrst_payload,
                LATERAL (SELECT * FROM json_to_record(pgrst_payload.json_data) AS _({columns}) LIMIT 1) pgrst_body,
                LATERAL (SELECT {function}({arguments}) pgrst_scalar) pgrst_call)
    SELECT coalesce(json_agg(pgrst_source.pgrst_scalar) -> 0, 'null')::text FROM pgrst_source
"""


class Refused(Exception):
    """A status, and what is wrong."""


def claims(header):
    try:
        kind, token = header.split()
        signed, _, signature = token.rpartition(".")
        wanted = base64.urlsafe_b64encode(hmac.digest(SECRET, signed.encode(), hashlib.sha256)).rstrip(b"=")
        if kind == "Bearer" and hmac.compare_digest(wanted, signature.encode()):
            payload = signed.split(".")[1]
            return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (AttributeError, ValueError):
        pass
    raise Refused(401, "no valid token")


def call(path, headers, body):
    token = claims(headers.get("Authorization"))
    schema, function = conf["db-schemas"], path.removeprefix("/rpc/")
    with psycopg.connect(conf["db-uri"]) as connection:
        found = connection.execute(ARGUMENTS, (schema, function)).fetchone()
        if not found or set(found[1]) != set(json.loads(body)):
            raise Refused(404, "no such function")
        connection.commit()
        connection.read_only = not found[0]
        settings = {
            "role": token["role"],
            "search_path": f'"{schema}", "public"',
            "request.jwt.claims": json.dumps(token),
            "request.headers": json.dumps({name.lower(): value for name, value in headers.items()}),
            "request.method": "POST",
            "request.path": path,
        }
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, true)", (name, value))
        connection.execute(sql.SQL("SELECT {}()").format(sql.Identifier(*conf["db-pre-request"].split("."))))
        statement = sql.SQL(CALL).format(
            columns=sql.SQL(", ").join(sql.SQL("{} " + kind).format(sql.Identifier(name)) for name, kind in zip(*found[1:])),
            function=sql.Identifier(schema, function),
            arguments=sql.SQL(", ").join(sql.SQL("{0} := pgrst_body.{0}").format(sql.Identifier(name)) for name in found[1]),
        )
        return connection.execute(statement, (body,)).fetchone()[0]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        try:
            status, answer = 200, call(self.path, self.headers, body)
        except Refused as refused:
            status, answer = refused.args[0], json.dumps({"message": refused.args[1]})
        except psycopg.Error as error:
            status = {"42501": 403, "53400": 500}.get(error.sqlstate, 400)
            answer = json.dumps({"code": error.sqlstate, "message": error.diag.message_primary, "hint": error.diag.message_hint})
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(answer.encode())))
        self.end_headers()
        self.wfile.write(answer.encode())


http.server.ThreadingHTTPServer((conf["server-host"], int(conf["server-port"])), Handler).serve_forever()
