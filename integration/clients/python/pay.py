"""Posts an order to the sidecar. Python 3.6 and later, nothing but the standard library.

Exit status: 0 verified, 10 not sent, 11 unknown, 12 unverified.
"""
import json
import socket
import sys
import urllib.error
import urllib.request


def pay(url, body):
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        answer = opener.open(request, timeout=40)  # longer than the sidecar's timeout of 30 s
    except urllib.error.HTTPError as error:
        answer = error  # it is an answer too, with headers and a body
    except urllib.error.URLError as error:
        not_sent = isinstance(error.reason, (ConnectionRefusedError, socket.gaierror))
        return "not_sent" if not_sent else "unknown", "sidecar_unreachable"
    except OSError:
        return "unknown", "sidecar_unreachable"
    try:
        text = answer.read().decode("utf-8")
    except OSError:
        return "unknown", "sidecar_unreachable"
    outcome = answer.headers.get("Countersign-Outcome")
    if outcome:
        return outcome, json.loads(text)["reason"]
    if answer.headers.get("Countersign-Verified") != "true":
        return "unverified", "not_verified"
    return "verified", text


if __name__ == "__main__":
    with open(sys.argv[2], "rb") as order:
        outcome, text = pay(sys.argv[1], order.read())
    print(outcome, text)
    sys.exit({"verified": 0, "not_sent": 10, "unknown": 11, "unverified": 12}[outcome])
