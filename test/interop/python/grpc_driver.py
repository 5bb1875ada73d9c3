"""A gRPC client and server of Python: `grpc_driver.py serve` and `grpc_driver.py call HOST:PORT`.

The server knows nothing of a broker; the client calls its service wherever it is told to.
"""

import json
import sys
import time
from concurrent import futures

import grpc

SERVICE = "interop.Echo"


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        methods = {
            f"/{SERVICE}/Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            f"/{SERVICE}/Down": grpc.unary_stream_rpc_method_handler(self.down),
            f"/{SERVICE}/Up": grpc.stream_unary_rpc_method_handler(self.up),
            f"/{SERVICE}/Both": grpc.stream_stream_rpc_method_handler(self.both),
            f"/{SERVICE}/Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            f"/{SERVICE}/Sleep": grpc.unary_unary_rpc_method_handler(self.sleep),
            f"/{SERVICE}/Waiting": grpc.unary_unary_rpc_method_handler(self.waiting),
        }
        return methods.get(details.method)

    def __init__(self):
        self.open = 0

    def unary(self, request, context):
        metadata = dict(context.invocation_metadata())
        if "echo-initial" in metadata:
            context.send_initial_metadata([("echo-initial", metadata["echo-initial"])])
        if "echo-trailing-bin" in metadata:
            context.set_trailing_metadata([("echo-trailing-bin", metadata["echo-trailing-bin"])])
        return request

    def down(self, request, context):
        for size in json.loads(request):
            yield b"x" * size

    def up(self, requests, context):
        return str(sum(len(request) for request in requests)).encode()

    def both(self, requests, context):
        yield from requests

    def fail(self, request, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode())

    def sleep(self, request, context):
        self.open += 1
        context.add_callback(self.ended)
        while context.is_active():
            time.sleep(0.02)
        return b""

    def ended(self):
        self.open -= 1

    def waiting(self, request, context):
        return str(self.open).encode()


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(0)


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def failure_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call did not fail")


class Checks:
    def __init__(self, channel):
        self.channel = channel

    def call(self, name, request, **options):
        return self.channel.unary_unary(f"/{SERVICE}/{name}")(request, timeout=20, **options)

    def empty_unary(self):
        expect(self.call("Unary", b"") == b"", "an empty reply")

    def large_unary(self):
        request = bytes(range(256)) * 4000
        expect(self.call("Unary", request) == request, "the same octets")

    def compressed_unary(self):
        request = b"waystation " * 50_000
        reply = self.call("Unary", request, compression=grpc.Compression.Gzip)
        expect(reply == request, "the same octets")

    def server_streaming(self):
        sizes = [31_415, 9, 0, 2_653, 1_000_000]
        stream = self.channel.unary_stream(f"/{SERVICE}/Down")
        got = [len(reply) for reply in stream(json.dumps(sizes).encode(), timeout=20)]
        expect(got == sizes, f"sizes {got}")

    def client_streaming(self):
        stream = self.channel.stream_unary(f"/{SERVICE}/Up")
        reply = stream(iter([b"x" * 50_000] * 200), timeout=20)
        expect(reply == b"10000000", f"sum {reply}")

    def ping_pong(self):
        stream = self.channel.stream_stream(f"/{SERVICE}/Both")
        messages = [b"y" * size for size in (1, 70_000, 0, 300_000)] * 10
        expect(list(stream(iter(messages), timeout=20)) == messages, "the same messages")

    def empty_stream(self):
        stream = self.channel.stream_stream(f"/{SERVICE}/Both")
        expect(list(stream(iter([]), timeout=20)) == [], "no message")

    def custom_metadata(self):
        metadata = (("echo-initial", "some value"), ("echo-trailing-bin", b"\xab\xab\xab"))
        unary = self.channel.unary_unary(f"/{SERVICE}/Unary")
        _, call = unary.with_call(b"", metadata=metadata, timeout=20)
        expect(dict(call.initial_metadata()).get("echo-initial") == "some value", "initial")
        expect(dict(call.trailing_metadata()).get("echo-trailing-bin") == b"\xab\xab\xab", "trailing")

    def status_code_and_message(self):
        text = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
        error = failure_of(lambda: self.call("Fail", text.encode()))
        expect(error.code() == grpc.StatusCode.FAILED_PRECONDITION, f"code {error.code()}")
        expect(error.details() == text, f"text {error.details()!r}")

    def unimplemented_method(self):
        error = failure_of(lambda: self.call("Missing", b""))
        expect(error.code() == grpc.StatusCode.UNIMPLEMENTED, f"code {error.code()}")

    def no_provider(self):
        unary = self.channel.unary_unary("/interop.Nobody/Call")
        error = failure_of(lambda: unary(b"", timeout=20))
        expect(error.code() == grpc.StatusCode.UNAVAILABLE, f"code {error.code()}")

    def cancel_after_begin(self):
        future = self.channel.unary_unary(f"/{SERVICE}/Sleep").future(b"", timeout=60)
        self.wait_for(b"1")
        future.cancel()
        expect(future.code() == grpc.StatusCode.CANCELLED, f"code {future.code()}")
        self.wait_for(b"0")

    def timeout_on_sleeping_server(self):
        unary = self.channel.unary_unary(f"/{SERVICE}/Sleep")
        error = failure_of(lambda: unary(b"", timeout=0.1))
        expect(error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, f"code {error.code()}")
        self.wait_for(b"0")

    def many_at_once(self):
        unary = self.channel.unary_unary(f"/{SERVICE}/Unary")
        futures_ = [unary.future(str(i).encode(), timeout=30) for i in range(500)]
        expect([f.result() for f in futures_] == [str(i).encode() for i in range(500)], "answers")

    def wait_for(self, count):
        for _ in range(1500):
            if self.call("Waiting", b"") == count:
                return
            time.sleep(0.02)
        raise AssertionError(f"never {count} calls open")


def call(address):
    with grpc.insecure_channel(address) as channel:
        checks = Checks(channel)
        for name in [name for name in vars(Checks) if not name.startswith("_")]:
            if name in ("call", "wait_for"):
                continue
            try:
                getattr(checks, name)()
                print(json.dumps({"check": name, "ok": True}), flush=True)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the result
                print(json.dumps({"check": name, "ok": False, "error": repr(error)}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        call(sys.argv[2])
