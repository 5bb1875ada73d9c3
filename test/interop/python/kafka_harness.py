"""What the Kafka drivers share: the target, the checks and how they are run and reported."""

import concurrent.futures
import contextlib
import json
import sys
import threading
import time
import traceback
import urllib.parse
import uuid

WAIT_SECONDS = 30
# Most of a check is waiting for heartbeats, so several wait at once.
AT_ONCE = 6


class Target:
    def __init__(self, text):
        url = urllib.parse.urlsplit(text)
        query = dict(urllib.parse.parse_qsl(url.query))
        self.plain = f"{url.hostname}:{url.port}"
        self.sasl = f"{url.hostname}:{query['sasl']}"
        self.tls = f"{url.hostname}:{query['tls']}"
        self.ca_file = query["ca"]
        self.user = urllib.parse.unquote(url.username)
        self.password = urllib.parse.unquote(url.password)


TARGET = Target(sys.argv[1])
CHECKS = []


def check(name):
    def register(function):
        CHECKS.append((name, function))
        return function

    return register


def new_name():
    return "ws-python-" + uuid.uuid4().hex[:12]


def same(seen, wanted):
    assert seen == wanted, f"{wanted!r} was expected, got {seen!r}"


def until(what, attempt):
    """What `attempt` gives once it is true."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        value = attempt()
        if value:
            return value
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.005)


def main():
    printing = threading.Lock()

    def run(named):
        name, function = named
        result = {"check": name, "ok": True}
        started = time.monotonic()
        try:
            with contextlib.ExitStack() as ends:
                function(ends)
        except Exception:
            result = {"check": name, "ok": False, "error": traceback.format_exc(limit=-6)}
        result["ms"] = round((time.monotonic() - started) * 1000)
        with printing:
            print(json.dumps(result), flush=True)
        return result["ok"]

    wanted = [one for one in CHECKS if len(sys.argv) < 3 or one[0].startswith(sys.argv[2])]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        passed = all(list(pool.map(run, wanted)))
    sys.exit(0 if passed else 1)
