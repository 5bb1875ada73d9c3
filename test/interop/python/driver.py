"""Asks a broker for the checks of test/interop/checks.ts with pika, one JSON line each."""

import datetime
import decimal
import json
import sys
import time
import traceback
import uuid

import pika
from pika.exceptions import ChannelClosedByBroker, UnroutableError

URL = sys.argv[1]
CHECKS = []
WAIT_SECONDS = 5


def check(name):
    def register(function):
        CHECKS.append((name, function))
        return function

    return register


class Session:
    """One connection with a confirming channel; queues it names are deleted at the end."""

    def __init__(self):
        self.connection = pika.BlockingConnection(pika.URLParameters(URL))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.names = []

    def queue(self, **options):
        name = "ws.pika." + uuid.uuid4().hex[:10]
        self.names.append(name)
        self.channel.queue_declare(name, **options)
        return name

    def send(self, queue, body, **properties):
        self.channel.basic_publish("", queue, body, pika.BasicProperties(**properties))

    def get(self, queue, auto_ack=False):
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            method, properties, body = self.channel.basic_get(queue, auto_ack)
            if method is not None:
                return method, properties, body
            time.sleep(0.01)
        raise AssertionError(f"no message in {queue}")

    def close(self):
        if self.connection.is_open:
            channel = self.connection.channel()
            for name in self.names:
                channel.queue_delete(name)
            self.connection.close()


def same(seen, wanted):
    if seen != wanted:
        raise AssertionError(f"{wanted!r} was expected, got {seen!r}")


def refused(code, action):
    other = Session()
    try:
        action(other.channel)
    except ChannelClosedByBroker as error:
        same(error.reply_code, code)
    else:
        raise AssertionError(f"{code} was expected, nothing was refused")
    finally:
        other.close()


@check("declare")
def declare(session):
    queue = session.queue(durable=True, arguments={"x-max-length": 10})
    again = session.channel.queue_declare(queue, durable=True, arguments={"x-max-length": 10})
    same(again.method.message_count, 0)
    session.channel.exchange_declare(queue, "topic", auto_delete=True)
    session.channel.queue_bind(queue, queue, "a.*")
    session.channel.basic_publish(queue, "a.b", b"routed")
    same(session.get(queue)[2], b"routed")
    session.channel.queue_unbind(queue, queue, "a.*")


@check("server-named")
def server_named(session):
    name = session.channel.queue_declare("", exclusive=True).method.queue
    assert name.startswith("amq.gen-"), name
    session.send(name, b"x")
    same(session.get(name)[2], b"x")


@check("confirm")
def confirm(session):
    queue = session.queue(durable=True)
    for index in range(20):
        # In confirm mode this returns when the broker has taken the message.
        session.send(queue, str(index).encode(), delivery_mode=2)
    same(session.channel.queue_declare(queue, passive=True).method.message_count, 20)


@check("consume")
def consume(session):
    queue = session.queue()
    for body in (b"a", b"b", b"c"):
        session.send(queue, body)
    bodies = []
    for method, _properties, body in session.channel.consume(queue, inactivity_timeout=5):
        if method is None:
            break
        bodies.append(body)
        session.channel.basic_ack(method.delivery_tag)
        if len(bodies) == 3:
            break
    same(bodies, [b"a", b"b", b"c"])
    session.channel.cancel()


@check("ack")
def ack(session):
    queue = session.queue()
    for body in (b"a", b"b", b"c"):
        session.send(queue, body)
    tags = [session.get(queue)[0].delivery_tag for _ in range(3)]
    session.channel.basic_ack(tags[1], multiple=True)
    session.channel.basic_nack(tags[2])
    method, _properties, body = session.get(queue)
    same((body, method.redelivered, method.message_count), (b"c", True, 0))


@check("nack-requeue")
def nack_requeue(session):
    queue = session.queue()
    session.send(queue, b"again")
    method, _properties, _body = session.get(queue)
    same(method.redelivered, False)
    session.channel.basic_nack(method.delivery_tag, requeue=True)
    method, _properties, body = session.get(queue)
    same((method.redelivered, body), (True, b"again"))
    session.channel.basic_reject(method.delivery_tag, requeue=False)


@check("dead-letter")
def dead_letter(session):
    dead = session.queue()
    queue = session.queue(
        arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
    )
    session.send(queue, b"bad")
    session.channel.basic_nack(session.get(queue)[0].delivery_tag, requeue=False)
    _method, properties, body = session.get(dead)
    same(body, b"bad")
    death = properties.headers["x-death"][0]
    same((death["queue"], death["reason"], death["count"]), (queue, "rejected", 1))


@check("mandatory-return")
def mandatory_return(session):
    try:
        session.channel.basic_publish("amq.direct", "nowhere", b"back", mandatory=True)
    except UnroutableError as error:
        same(error.messages[0].body, b"back")
        same(error.messages[0].method.reply_code, 312)
    else:
        raise AssertionError("the message was not returned")


@check("exclusive")
def exclusive(session):
    queue = session.queue(exclusive=True)
    session.send(queue, b"own")
    same(session.get(queue)[2], b"own")
    refused(405, lambda channel: channel.basic_consume(queue, lambda *_: None))


@check("prefetch")
def prefetch(session):
    queue = session.queue()
    for body in (b"a", b"b", b"c"):
        session.send(queue, body)
    session.channel.basic_qos(prefetch_count=2)
    tags = []
    session.channel.basic_consume(queue, lambda _c, method, *_: tags.append(method.delivery_tag))
    session.connection.process_data_events(0.2)
    same(tags, [1, 2])
    session.channel.basic_ack(tags[0])
    end = time.monotonic() + WAIT_SECONDS
    while len(tags) < 3 and time.monotonic() < end:
        session.connection.process_data_events(0.05)
    same(tags, [1, 2, 3])


@check("error-403")
def error_403(_session):
    refused(403, lambda channel: channel.queue_declare("amq.mine"))


@check("error-404")
def error_404(_session):
    refused(404, lambda channel: channel.queue_declare("ws.pika.missing", passive=True))
    refused(404, lambda channel: channel.basic_publish("ws.pika.missing", "k", b"x"))


@check("error-405")
def error_405(session):
    queue = session.queue(exclusive=True)
    refused(405, lambda channel: channel.queue_purge(queue))


@check("error-406")
def error_406(session):
    queue = session.queue(durable=True)
    refused(406, lambda channel: channel.queue_declare(queue, durable=False))


@check("properties")
def properties(session):
    queue = session.queue()
    sent = {
        "content_type": "text/plain",
        "content_encoding": "utf-8",
        "delivery_mode": 2,
        "priority": 3,
        "correlation_id": "c",
        "reply_to": "r",
        "expiration": "60000",
        "message_id": "m",
        "timestamp": 1_700_000_000,
        "type": "t",
        "user_id": "guest",
        "app_id": "a",
    }
    session.send(queue, b"x", **sent)
    seen = session.get(queue)[1]
    same({name: getattr(seen, name) for name in sent}, sent)


@check("header-types")
def header_types(session):
    queue = session.queue()
    sent = {
        "void": None,
        "bool": True,
        "int": -5,
        "long": 2**40,
        "decimal": decimal.Decimal("12.34"),
        "string": "naïve ✓",
        "time": datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
        "table": {"inner": {"deep": 1}},
        "array": ["a", 1, True, None, {"b": "c"}],
    }
    session.send(queue, b"x", headers=sent)
    same(session.get(queue)[1].headers, sent)


def main():
    failed = False
    for name, function in CHECKS:
        result = {"check": name, "ok": True}
        session = None
        try:
            session = Session()
            function(session)
        except Exception:
            failed = True
            result = {"check": name, "ok": False, "error": traceback.format_exc(limit=3)}
        finally:
            if session is not None:
                session.close()
        print(json.dumps(result), flush=True)
    sys.exit(1 if failed else 0)


main()
