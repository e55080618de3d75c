"""Prints a token for a role: the file with PostgREST's secret, the role.  It is valid until the secret is changed."""
import base64
import hashlib
import hmac
import json
import sys


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


with open(sys.argv[1], "rb") as file:
    secret = file.read()
parts = [encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, {"role": sys.argv[2]})]
signed = b".".join(parts)
print((signed + b"." + encode(hmac.digest(secret, signed, hashlib.sha256))).decode())
