"""Check signatures of recorded requests with botocore's own signer.

Reads one JSON object a line: {"request": {"method", "path", "headers", "body", "time"}, "url": where it was to go,
"id", "secret", "token" (null: none), "region", "service"}.  Writes a line for each: "ok", or "bad: " and what is wrong.
"""

import calendar
import json
import sys
import time
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

FIVE_MINUTES = 300


def expected(case, date):
    """The Authorization header that botocore makes of the same request at the same second."""
    headers = case["request"]["headers"]
    request = AWSRequest(
        method=case["request"]["method"],
        url=case["url"],
        data=case["request"]["body"].encode("latin-1"),
        headers={name: headers[name] for name in ("content-type", "x-amz-target") if name in headers},
    )
    signer = SigV4Auth(Credentials(case["id"], case["secret"], case["token"]), case["service"], case["region"])
    # add_auth() would take the time from the clock: its other steps, one by one.
    request.context["timestamp"] = date
    signer._modify_request_before_signing(request)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(to_sign, request))
    return request.headers["Authorization"]


def faults(case):
    """All that is wrong with a request."""
    request = case["request"]
    headers = request["headers"]
    url = urlsplit(case["url"])
    date = headers.get("x-amz-date", "")
    try:
        seconds = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        yield "no X-Amz-Date"
        return
    if abs(seconds - request["time"]) > FIVE_MINUTES:
        yield "the date is not within 5 minutes"
    if request["path"] != url.path or headers.get("host") != url.netloc:
        yield "another path or host"
    if headers.get("x-amz-security-token") != case["token"]:
        yield "another session token"
    authorization = headers.get("authorization", "")
    signed = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    for name in ("host", "content-type", "x-amz-date", "x-amz-security-token", "x-amz-target"):
        if name in headers and name not in signed:
            yield name + " is not signed"
    if authorization != expected(case, date):
        yield "another signature: " + authorization + ", expected " + expected(case, date)


for line in sys.stdin:
    wrong = list(faults(json.loads(line)))
    print("bad: " + "; ".join(wrong) if wrong else "ok", flush=True)
