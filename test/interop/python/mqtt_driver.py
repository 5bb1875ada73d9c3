"""Asks a broker for the checks of test/interop/mqtt-checks.ts with paho-mqtt, one JSON line each."""

import json
import os
import queue
import sys
import threading
import traceback
import urllib.parse
import uuid

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

URL = urllib.parse.urlparse(sys.argv[1])
VERSIONS = {"3.1.1": paho.MQTTv311, "5.0": paho.MQTTv5}
CHECKS = []
WAIT_SECONDS = 5


def check(name, versions=("3.1.1", "5.0")):
    def register(function):
        for version in versions:
            CHECKS.append((f"{name} {version}", function, version))
        return function

    return register


class Client:
    """One connection; what it receives waits in `messages`."""

    def __init__(self, version, name=None, kept=False, will=None, password=None):
        self.version = version
        self.messages = queue.Queue()
        self.connected = queue.Queue()
        self.subscribed = queue.Queue()
        options = {} if version == "5.0" else {"clean_session": not kept}
        name = name or "ws-paho-" + uuid.uuid4().hex[:10]
        self.paho = paho.Client(
            CallbackAPIVersion.VERSION2, name, protocol=VERSIONS[version], **options
        )
        if password is not None:
            self.paho.username_pw_set("guest", password)
        if will is not None:
            self.paho.will_set(will, b"gone", qos=1)
        self.paho.on_message = lambda _client, _data, message: self.messages.put(message)
        self.paho.on_connect = lambda _c, _d, flags, reason, _p: self.connected.put((flags, reason))
        self.paho.on_subscribe = lambda _c, _d, _mid, reasons, _p: self.subscribed.put(reasons)
        properties = None
        extra = {}
        if version == "5.0":
            extra["clean_start"] = not kept
            if kept:
                properties = Properties(PacketTypes.CONNECT)
                properties.SessionExpiryInterval = 60
            extra["properties"] = properties
        self.paho.connect(URL.hostname, URL.port, keepalive=30, **extra)
        self.paho.loop_start()
        self.flags, self.reason = self.connected.get(timeout=WAIT_SECONDS)

    def subscribe(self, topic, qos, options=None):
        if options is not None:
            self.paho.subscribe(topic, options=options)
        else:
            self.paho.subscribe(topic, qos)
        (reason,) = self.subscribed.get(timeout=WAIT_SECONDS)
        assert not reason.is_failure, f"subscription refused: {reason}"
        assert reason.value == qos, f"granted {reason}"

    def publish(self, topic, body, qos=1, retain=False, properties=None):
        info = self.paho.publish(topic, body, qos, retain, properties)
        info.wait_for_publish(WAIT_SECONDS)
        assert info.is_published(), "not acknowledged"

    def next(self):
        return self.messages.get(timeout=WAIT_SECONDS)

    def silent(self):
        try:
            message = self.messages.get(timeout=0.3)
        except queue.Empty:
            return
        raise AssertionError(f"{message.topic} came, and nothing should")

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()

    def vanish(self):
        """Ends the connection without a word."""
        self.paho.loop_stop()
        self.paho.socket().close()


def topic():
    return "ws/paho/" + uuid.uuid4().hex[:10]


def round_trip(version, qos):
    client, name = Client(version), topic()
    client.subscribe(name, qos)
    for number in range(20):
        client.publish(name, str(number).encode(), qos)
    for number in range(20):
        message = client.next()
        assert message.payload == str(number).encode(), f"{message.payload} for {number}"
        assert message.qos == qos and not message.retain
    client.silent()
    client.close()


@check("qos-0")
def _(version):
    round_trip(version, 0)


@check("qos-1")
def _(version):
    round_trip(version, 1)


@check("qos-2")
def _(version):
    round_trip(version, 2)


@check("wildcards")
def _(version):
    client, name = Client(version), topic()
    client.subscribe(name + "/+/c", 1)
    for rest in ("/a/c", "/a/b", "/b/c", "//c"):
        client.publish(name + rest, b"x")
    assert [client.next().topic for _ in range(3)] == [name + r for r in ("/a/c", "/b/c", "//c")]
    client.silent()
    client.close()


@check("retained")
def _(version):
    client, name = Client(version), topic()
    client.publish(name + "/a", b"old", retain=True)
    client.publish(name + "/a", b"kept", retain=True)
    client.subscribe(name + "/#", 1)
    message = client.next()
    assert message.retain and message.payload == b"kept", message.payload
    client.publish(name + "/a", b"", retain=True)
    assert client.next().payload == b""
    client.close()
    later = Client(version)
    later.subscribe(name + "/#", 1)
    later.silent()
    later.close()


@check("will")
def _(version):
    client, name = Client(version), topic()
    client.subscribe(name, 1)
    Client(version, will=name).close()
    client.silent()
    Client(version, will=name).vanish()
    assert client.next().payload == b"gone"
    client.close()


@check("session")
def _(version):
    name, who = topic(), "ws-paho-" + uuid.uuid4().hex[:10]
    first = Client(version, who, kept=True)
    assert not first.flags.session_present
    first.subscribe(name, 2)
    first.close()
    other = Client(version)
    for qos in (1, 2):
        other.publish(name, str(qos).encode(), qos)
    again = Client(version, who, kept=True)
    assert again.flags.session_present
    assert [again.next().payload for _ in range(2)] == [b"1", b"2"]
    again.silent()
    again.close()
    assert not Client(version, who).flags.session_present
    other.close()


@check("shared")
def _(version):
    name = topic()
    members = [Client(version) for _ in range(2)]
    for member in members:
        member.subscribe("$share/g/" + name, 1)
    for number in range(40):
        members[0].publish(name, str(number).encode())
    seen = []
    for member in members:
        try:
            while True:
                seen.append(member.messages.get(timeout=0.3).payload)
        except queue.Empty:
            pass
    assert sorted(seen) == sorted(str(number).encode() for number in range(40)), seen
    for member in members:
        member.close()


@check("wrong-password")
def _(version):
    client = Client(version, password="wrong")
    assert client.reason.is_failure, client.reason
    assert client.reason == "Bad user name or password", client.reason
    client.paho.loop_stop()


@check("large")
def _(version):
    client, name = Client(version), topic()
    body = bytes(range(256)) * 8192
    client.subscribe(name, 1)
    client.publish(name, body)
    assert client.next().payload == body
    client.close()


@check("properties", ["5.0"])
def _(version):
    client, name = Client(version), topic()
    sent = Properties(PacketTypes.PUBLISH)
    sent.ContentType = "a/b"
    sent.ResponseTopic = "answers/1"
    sent.CorrelationData = b"\x00\xff"
    sent.PayloadFormatIndicator = 1
    sent.UserProperty = [("k", "v"), ("k", "w"), ("a", "")]
    client.subscribe(name, 1)
    client.publish(name, b"x", properties=sent)
    got = client.next().properties
    for key in ("ContentType", "ResponseTopic", "CorrelationData", "PayloadFormatIndicator"):
        assert getattr(got, key) == getattr(sent, key), key
    assert got.UserProperty == sent.UserProperty, got.UserProperty
    client.close()


@check("expiry", ["5.0"])
def _(version):
    client, name = Client(version), topic()
    sent = Properties(PacketTypes.PUBLISH)
    sent.MessageExpiryInterval = 30
    client.subscribe(name, 1)
    client.publish(name, b"x", properties=sent)
    assert 28 <= client.next().properties.MessageExpiryInterval <= 30
    client.close()


@check("no-local", ["5.0"])
def _(version):
    client, other, name = Client(version), Client(version), topic()
    client.subscribe(name, 1, SubscribeOptions(qos=1, noLocal=True))
    client.publish(name, b"mine")
    other.publish(name, b"theirs")
    assert client.next().payload == b"theirs"
    client.silent()
    client.close()
    other.close()


def main():
    threading.excepthook = lambda args: traceback.print_exception(args.exc_value)
    for name, function, version in CHECKS:
        result = {"check": name, "ok": True}
        try:
            function(version)
        except Exception as error:  # Any failure is the check's result.
            trace = traceback.format_exc(limit=-3)
            result = {"check": name, "ok": False, "error": f"{error!r}\n{trace}"}
        print(json.dumps(result), flush=True)
    # Clients that failed have threads that go on connecting.
    os._exit(0)


main()
