"""gRPC's interop cases with grpcio.

    grpc_interop.py serve                              serves on a free port, which it prints
    grpc_interop.py call ADDRESS CASE,CASE [...]       each case prints a line of JSON
"""

import json
import queue
import sys
from concurrent import futures

import grpc

import grpc_messages as m

SERVICE = "grpc.testing.TestService"
INITIAL = "x-grpc-test-echo-initial"
TRAILING = "x-grpc-test-echo-trailing-bin"
WITHIN_S = 30
REQUEST_SIZES = (27182, 8, 1828, 45904)
REPLY_SIZES = (31415, 9, 2653, 58979)
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"


def payload(size):
    return m.Payload(body=bytes(size))


def echo(context):
    for name, value in context.invocation_metadata():
        if name == INITIAL:
            context.send_initial_metadata([(name, value)])
        elif name == TRAILING:
            context.set_trailing_metadata([(name, value)])


def fail_as_asked(request, context):
    if request.HasField("response_status") and request.response_status.code != 0:
        code = next(c for c in grpc.StatusCode if c.value[0] == request.response_status.code)
        context.abort(code, request.response_status.message)


class TestService(grpc.GenericRpcHandler):
    def service(self, details):
        return self.methods.get(details.method)

    def __init__(self):
        def method(kind, request, run):
            return kind(run, request.FromString, lambda reply: reply.SerializeToString())

        self.methods = {
            f"/{SERVICE}/EmptyCall": method(
                grpc.unary_unary_rpc_method_handler, m.Empty, lambda request, context: m.Empty()
            ),
            f"/{SERVICE}/UnaryCall": method(
                grpc.unary_unary_rpc_method_handler, m.SimpleRequest, self.unary
            ),
            f"/{SERVICE}/StreamingInputCall": method(
                grpc.stream_unary_rpc_method_handler, m.InputRequest, self.streaming_input
            ),
            f"/{SERVICE}/StreamingOutputCall": method(
                grpc.unary_stream_rpc_method_handler, m.OutputRequest, self.streaming_output
            ),
            f"/{SERVICE}/FullDuplexCall": method(
                grpc.stream_stream_rpc_method_handler, m.OutputRequest, self.full_duplex
            ),
        }

    def unary(self, request, context):
        echo(context)
        fail_as_asked(request, context)
        return m.SimpleResponse(payload=payload(request.response_size))

    def streaming_input(self, requests, context):
        size = sum(len(request.payload.body) for request in requests)
        return m.InputResponse(aggregated_payload_size=size)

    def streaming_output(self, request, context):
        for parameters in request.response_parameters:
            yield m.OutputResponse(payload=payload(parameters.size))

    def full_duplex(self, requests, context):
        echo(context)
        for request in requests:
            fail_as_asked(request, context)
            for parameters in request.response_parameters:
                yield m.OutputResponse(payload=payload(parameters.size))


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((TestService(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(0)


def expect(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: {actual!r}, expected {expected!r}")


def failure_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call did not fail")


def expect_failure(call, code, text=None):
    error = failure_of(call)
    expect(error.code(), code, "code")
    if text is not None:
        expect(error.details(), text, "text")


class Stub:
    """The methods of the service on a channel, as generated code would make them."""

    def __init__(self, channel):
        def method(kind, name, reply):
            return kind(
                f"/{name}", lambda request: request.SerializeToString(), reply.FromString
            )

        self.empty = method(channel.unary_unary, f"{SERVICE}/EmptyCall", m.Empty)
        self.unary = method(channel.unary_unary, f"{SERVICE}/UnaryCall", m.SimpleResponse)
        self.input = method(
            channel.stream_unary, f"{SERVICE}/StreamingInputCall", m.InputResponse
        )
        self.output = method(
            channel.unary_stream, f"{SERVICE}/StreamingOutputCall", m.OutputResponse
        )
        self.duplex = method(
            channel.stream_stream, f"{SERVICE}/FullDuplexCall", m.OutputResponse
        )
        self.no_method = method(channel.unary_unary, f"{SERVICE}/UnimplementedCall", m.Empty)
        self.no_service = method(
            channel.unary_unary, "grpc.testing.UnimplementedService/UnimplementedCall", m.Empty
        )


class Pipe:
    """Requests that are sent when they are put in; `None` is the end."""

    def __init__(self):
        self.queue = queue.Queue()

    def put(self, request):
        self.queue.put(request)

    def __iter__(self):
        return iter(self.queue.get, None)


def asks(sizes, size=0):
    parameters = [m.Parameters(size=one) for one in sizes]
    return m.OutputRequest(response_parameters=parameters, payload=payload(size))


class Cases:
    def __init__(self, channel):
        self.stub = Stub(channel)

    def empty_unary(self):
        expect(self.stub.empty(m.Empty(), timeout=WITHIN_S), m.Empty(), "reply")

    def large_unary(self):
        request = m.SimpleRequest(response_size=314159, payload=payload(271828))
        reply = self.stub.unary(request, timeout=WITHIN_S)
        expect(len(reply.payload.body), 314159, "size")

    def client_streaming(self):
        requests = (m.InputRequest(payload=payload(size)) for size in REQUEST_SIZES)
        reply = self.stub.input(requests, timeout=WITHIN_S)
        expect(reply.aggregated_payload_size, 74922, "size")

    def server_streaming(self):
        replies = self.stub.output(asks(REPLY_SIZES), timeout=WITHIN_S)
        expect(tuple(len(reply.payload.body) for reply in replies), REPLY_SIZES, "sizes")

    def ping_pong(self):
        pipe = Pipe()
        replies = self.stub.duplex(iter(pipe), timeout=WITHIN_S)
        for request_size, reply_size in zip(REQUEST_SIZES, REPLY_SIZES):
            pipe.put(asks([reply_size], request_size))
            expect(len(next(replies).payload.body), reply_size, "size")
        pipe.put(None)
        expect(list(replies), [], "rest")

    def empty_stream(self):
        expect(list(self.stub.duplex(iter([]), timeout=WITHIN_S)), [], "replies")

    def timeout_on_sleeping_server(self):
        pipe = Pipe()
        replies = self.stub.duplex(iter(pipe), timeout=0.001)
        pipe.put(m.OutputRequest(payload=payload(27182)))
        expect_failure(lambda: next(replies), grpc.StatusCode.DEADLINE_EXCEEDED)
        pipe.put(None)

    def cancel_after_begin(self):
        pipe = Pipe()
        future = self.stub.input.future(iter(pipe), timeout=WITHIN_S)
        future.cancel()
        expect(future.code(), grpc.StatusCode.CANCELLED, "code")
        pipe.put(None)

    def cancel_after_first_response(self):
        pipe = Pipe()
        replies = self.stub.duplex(iter(pipe), timeout=WITHIN_S)
        pipe.put(asks([31415], 27182))
        expect(len(next(replies).payload.body), 31415, "size")
        replies.cancel()
        expect_failure(lambda: next(replies), grpc.StatusCode.CANCELLED)
        pipe.put(None)

    def custom_metadata(self):
        metadata = ((INITIAL, "test_initial_metadata_value"), (TRAILING, b"\x0a\x0b\x0a\x0b\x0a\x0b"))

        def check(call):
            expect(dict(call.initial_metadata()).get(INITIAL), metadata[0][1], "initial")
            expect(dict(call.trailing_metadata()).get(TRAILING), metadata[1][1], "trailing")

        request = m.SimpleRequest(response_size=1, payload=payload(1))
        _, call = self.stub.unary.with_call(request, metadata=metadata, timeout=WITHIN_S)
        check(call)
        call = self.stub.duplex(iter([asks([1], 1)]), metadata=metadata, timeout=WITHIN_S)
        expect([len(reply.payload.body) for reply in call], [1], "sizes")
        check(call)

    def status_code_and_message(self):
        status = m.EchoStatus(code=2, message="test status message")
        unary = lambda: self.stub.unary(m.SimpleRequest(response_status=status), timeout=WITHIN_S)
        expect_failure(unary, grpc.StatusCode.UNKNOWN, status.message)
        requests = [m.OutputRequest(response_status=status)]
        duplex = lambda: list(self.stub.duplex(iter(requests), timeout=WITHIN_S))
        expect_failure(duplex, grpc.StatusCode.UNKNOWN, status.message)

    def special_status_message(self):
        status = m.EchoStatus(code=2, message=SPECIAL)
        request = m.SimpleRequest(response_status=status)
        call = lambda: self.stub.unary(request, timeout=WITHIN_S)
        expect_failure(call, grpc.StatusCode.UNKNOWN, SPECIAL)

    def unimplemented_method(self):
        call = lambda: self.stub.no_method(m.Empty(), timeout=WITHIN_S)
        expect_failure(call, grpc.StatusCode.UNIMPLEMENTED)

    def unimplemented_service(self):
        call = lambda: self.stub.no_service(m.Empty(), timeout=WITHIN_S)
        expect_failure(call, grpc.StatusCode.UNIMPLEMENTED)


def call(targets):
    for address, names in zip(targets[::2], targets[1::2]):
        with grpc.insecure_channel(address) as channel:
            cases = Cases(channel)
            for name in names.split(","):
                outcome = {"address": address, "check": name, "ok": True}
                try:
                    getattr(cases, name)()
                except Exception as error:  # noqa: BLE001 - whatever it is, it is the result
                    outcome.update(ok=False, error=repr(error))
                print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        call(sys.argv[2:])
