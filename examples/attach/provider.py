"""A provider without a port: it attaches to the broker with grpcio and the published .proto alone.

    python -m grpc_tools.protoc -I ../../proto --python_out=. --grpc_python_out=. \
        waystation/rpc/v1/provider.proto
    python provider.py 127.0.0.1:7700 demo.v1.Echo

User and password, or a token, are in ATTACH_AUTHORIZATION, such as `Bearer eyJ...`.
"""

import os
import queue
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from waystation.rpc.v1 import provider_pb2 as pb
from waystation.rpc.v1 import provider_pb2_grpc as stubs

CAPACITY = 4
WINDOW = 262144
OVERHEAD = 32


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


class Refusal(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.end = {"code": code.value[0], "text": text}


class Call:
    """One call: iterating gives its requests, `reply` sends an answer as soon as there is room."""

    def __init__(self, provider, head):
        self.head = head
        self.metadata = {entry.name: entry.text for entry in head.metadata}
        self._provider = provider
        self._requests = queue.Queue()
        self._room = WINDOW
        self._changed = threading.Condition()
        self.cancelled = threading.Event()

    def __iter__(self):
        while (request := self._requests.get()) is not None:
            yield request

    def reply(self, message):
        with self._changed:
            self._changed.wait_for(lambda: self._room > 0 or self.cancelled.is_set())
            if self.cancelled.is_set():
                raise Cancelled
            self._room -= len(message) + OVERHEAD
        self._provider.send(reply=pb.Reply(id=self.head.id, message=message))

    # What the broker says of it.

    def requested(self, request):
        if request.HasField("message"):
            self._requests.put(request.message)
        if request.last:
            self._requests.put(None)

    def credited(self, octets):
        with self._changed:
            self._room += octets
            self._changed.notify()

    def cancel(self):
        self.cancelled.set()
        self._requests.put(None)
        self.credited(0)


class Provider:
    def __init__(self, service, methods):
        self._service = service
        self._methods = methods
        self._calls = {}
        self._out = queue.Queue()
        self._pool = ThreadPoolExecutor(CAPACITY)

    def send(self, **kind):
        self._out.put(pb.FromProvider(**kind))

    def drain(self):
        """Takes no more calls; `run` returns when those that are there have ended."""
        self.send(drain=pb.Drain())

    def run(self, channel, metadata):
        self.send(register=pb.Register(services=[self._service], capacity=CAPACITY))
        stream = stubs.ProviderStub(channel).Attach(iter(self._out.get, None), metadata=metadata)
        try:
            for message in stream:
                self._heard(message)
        finally:
            self._out.put(None)
            for call in list(self._calls.values()):
                call.cancel()

    def _heard(self, message):
        kind = message.WhichOneof("kind")
        if kind == "registered":
            print("attached as", message.registered.instance_id, flush=True)
        elif kind == "call":
            call = self._calls[message.call.id] = Call(self, message.call)
            self._pool.submit(self._answer, call)
        elif kind == "drain":
            print("the broker takes leave:", message.drain.reason, flush=True)
        elif (call := self._calls.get(getattr(message, kind).id)) is not None:
            if kind == "request":
                call.requested(message.request)
            elif kind == "credit":
                call.credited(message.credit.octets)
            elif kind == "cancel":
                call.cancel()

    def _answer(self, call):
        end = {}
        try:
            method = self._methods.get(call.head.path.rsplit("/", 1)[1])
            if method is None:
                raise Refusal(grpc.StatusCode.UNIMPLEMENTED, f"no method {call.head.path}")
            for message in method(call):
                call.reply(message)
        except Refusal as refusal:
            end = refusal.end
        except Cancelled:
            pass
        except Exception as error:
            end = {"code": grpc.StatusCode.UNKNOWN.value[0], "text": str(error)}
        del self._calls[call.head.id]
        self.send(end=pb.End(id=call.head.id, **end))


def echo(call):
    yield from call


def up(call):
    yield str(sum(len(request) for request in call)).encode()


def down(call):
    for request in call:
        for _ in range(int(request)):
            yield b"x" * 10_000


def fail(call):
    raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, "no tea today")
    yield


def sleep(call):
    print("asleep", flush=True)
    call.cancelled.wait()
    print("woken", flush=True)
    raise Cancelled
    yield


METHODS = {"Echo": echo, "Up": up, "Down": down, "Fail": fail, "Sleep": sleep}


def main(target, service):
    provider = Provider(service, METHODS)
    authorization = os.environ.get("ATTACH_AUTHORIZATION")
    metadata = [] if authorization is None else [("authorization", authorization)]
    # Whoever closes our standard input wants us to go.
    closing = lambda: (sys.stdin.read(), provider.drain())
    threading.Thread(target=closing, daemon=True).start()
    with grpc.insecure_channel(target) as channel:
        provider.run(channel, metadata)


if __name__ == "__main__":
    main(*sys.argv[1:])
