import com.google.protobuf.ByteString;
import com.google.protobuf.DescriptorProtos.DescriptorProto;
import com.google.protobuf.DescriptorProtos.FieldDescriptorProto;
import com.google.protobuf.DescriptorProtos.FieldDescriptorProto.Label;
import com.google.protobuf.DescriptorProtos.FieldDescriptorProto.Type;
import com.google.protobuf.DescriptorProtos.FileDescriptorProto;
import com.google.protobuf.Descriptors.FileDescriptor;
import com.google.protobuf.DynamicMessage;
import com.google.protobuf.Message;
import io.grpc.CallOptions;
import io.grpc.ClientInterceptors;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.InsecureServerCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/**
 * gRPC's interop cases with grpc-java, since its own client is in no registry:
 *
 * <pre>
 * serve                                 serves on a free port, which it prints, until its input ends
 * call ADDRESS CASE,CASE [ADDRESS ...]  each case prints a line of JSON
 * </pre>
 */
public final class Driver {
  private static final String SERVICE = "grpc.testing.TestService";
  private static final int[] REQUEST_SIZES = {27182, 8, 1828, 45904};
  private static final int[] REPLY_SIZES = {31415, 9, 2653, 58979};
  private static final String SPECIAL =
      "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \ud83d\ude08\t\n";
  private static final Metadata.Key<String> INITIAL =
      Metadata.Key.of("x-grpc-test-echo-initial", Metadata.ASCII_STRING_MARSHALLER);
  private static final Metadata.Key<byte[]> TRAILING =
      Metadata.Key.of("x-grpc-test-echo-trailing-bin", Metadata.BINARY_BYTE_MARSHALLER);
  private static final FileDescriptor FILE = file();

  // --- what the cases use of grpc/testing/messages.proto ---

  private static FieldDescriptorProto field(String name, int number, Type type) {
    return FieldDescriptorProto.newBuilder()
        .setName(name)
        .setNumber(number)
        .setType(type)
        .setLabel(Label.LABEL_OPTIONAL)
        .build();
  }

  private static FieldDescriptorProto field(String name, int number, String message) {
    return field(name, number, Type.TYPE_MESSAGE).toBuilder()
        .setTypeName(".grpc.testing." + message)
        .build();
  }

  private static DescriptorProto type(String name, FieldDescriptorProto... fields) {
    return DescriptorProto.newBuilder().setName(name).addAllField(Arrays.asList(fields)).build();
  }

  private static FileDescriptor file() {
    FieldDescriptorProto payload = field("payload", 1, "Payload");
    FieldDescriptorProto body = field("payload", 3, "Payload");
    FieldDescriptorProto status = field("response_status", 7, "EchoStatus");
    FieldDescriptorProto parameters =
        field("response_parameters", 2, "ResponseParameters").toBuilder()
            .setLabel(Label.LABEL_REPEATED)
            .build();
    FileDescriptorProto made =
        FileDescriptorProto.newBuilder()
            .setName("grpc/testing/messages.proto")
            .setPackage("grpc.testing")
            .setSyntax("proto3")
            .addMessageType(type("Empty"))
            .addMessageType(type("Payload", field("body", 2, Type.TYPE_BYTES)))
            .addMessageType(
                type(
                    "EchoStatus",
                    field("code", 1, Type.TYPE_INT32),
                    field("message", 2, Type.TYPE_STRING)))
            .addMessageType(
                type("SimpleRequest", field("response_size", 2, Type.TYPE_INT32), body, status))
            .addMessageType(type("SimpleResponse", payload))
            .addMessageType(type("StreamingInputCallRequest", payload))
            .addMessageType(
                type(
                    "StreamingInputCallResponse",
                    field("aggregated_payload_size", 1, Type.TYPE_INT32)))
            .addMessageType(type("ResponseParameters", field("size", 1, Type.TYPE_INT32)))
            .addMessageType(type("StreamingOutputCallRequest", parameters, body, status))
            .addMessageType(type("StreamingOutputCallResponse", payload))
            .build();
    try {
      return FileDescriptor.buildFrom(made, new FileDescriptor[0]);
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
  }

  private static DynamicMessage make(String name, Object... fields) {
    DynamicMessage.Builder builder =
        DynamicMessage.newBuilder(FILE.findMessageTypeByName(name));
    for (int index = 0; index < fields.length; index += 2) {
      builder.setField(
          builder.getDescriptorForType().findFieldByName((String) fields[index]),
          fields[index + 1]);
    }
    return builder.build();
  }

  private static Object get(Message message, String name) {
    return message.getField(message.getDescriptorForType().findFieldByName(name));
  }

  private static DynamicMessage payload(int size) {
    return make("Payload", "body", ByteString.copyFrom(new byte[size]));
  }

  private static int sizeOf(Message reply) {
    return ((ByteString) get((Message) get(reply, "payload"), "body")).size();
  }

  private static DynamicMessage asks(int size, int... sizes) {
    List<DynamicMessage> parameters = new ArrayList<>();
    for (int one : sizes) {
      parameters.add(make("ResponseParameters", "size", one));
    }
    return make(
        "StreamingOutputCallRequest", "response_parameters", parameters, "payload", payload(size));
  }

  private static MethodDescriptor<DynamicMessage, DynamicMessage> method(
      String name, MethodType type, String request, String reply) {
    return MethodDescriptor.<DynamicMessage, DynamicMessage>newBuilder()
        .setFullMethodName(name.contains("/") ? name : SERVICE + "/" + name)
        .setType(type)
        .setRequestMarshaller(ProtoUtils.marshaller(make(request)))
        .setResponseMarshaller(ProtoUtils.marshaller(make(reply)))
        .build();
  }

  private static final MethodDescriptor<DynamicMessage, DynamicMessage> EMPTY =
      method("EmptyCall", MethodType.UNARY, "Empty", "Empty");
  private static final MethodDescriptor<DynamicMessage, DynamicMessage> UNARY =
      method("UnaryCall", MethodType.UNARY, "SimpleRequest", "SimpleResponse");
  private static final MethodDescriptor<DynamicMessage, DynamicMessage> INPUT =
      method(
          "StreamingInputCall",
          MethodType.CLIENT_STREAMING,
          "StreamingInputCallRequest",
          "StreamingInputCallResponse");
  private static final MethodDescriptor<DynamicMessage, DynamicMessage> OUTPUT =
      method(
          "StreamingOutputCall",
          MethodType.SERVER_STREAMING,
          "StreamingOutputCallRequest",
          "StreamingOutputCallResponse");
  private static final MethodDescriptor<DynamicMessage, DynamicMessage> DUPLEX =
      method(
          "FullDuplexCall",
          MethodType.BIDI_STREAMING,
          "StreamingOutputCallRequest",
          "StreamingOutputCallResponse");
  private static final MethodDescriptor<DynamicMessage, DynamicMessage> NO_METHOD =
      method("UnimplementedCall", MethodType.UNARY, "Empty", "Empty");
  private static final MethodDescriptor<DynamicMessage, DynamicMessage> NO_SERVICE =
      method(
          "grpc.testing.UnimplementedService/UnimplementedCall",
          MethodType.UNARY,
          "Empty",
          "Empty");

  // --- the server ---

  /** Null: none was asked for. */
  private static Status askedStatus(Message request) {
    Message status = (Message) get(request, "response_status");
    int code = (Integer) get(status, "code");
    if (code == 0) {
      return null;
    }
    return Status.fromCodeValue(code).withDescription((String) get(status, "message"));
  }

  private static void answer(Message request, StreamObserver<DynamicMessage> replies) {
    for (Object parameters : (List<?>) get(request, "response_parameters")) {
      int size = (Integer) get((Message) parameters, "size");
      replies.onNext(make("StreamingOutputCallResponse", "payload", payload(size)));
    }
  }

  private abstract static class Requests implements StreamObserver<DynamicMessage> {
    @Override
    public void onError(Throwable error) {
      // The caller has gone.
    }
  }

  private static ServerServiceDefinition service() {
    return ServerServiceDefinition.builder(SERVICE)
        .addMethod(
            EMPTY,
            ServerCalls.asyncUnaryCall(
                (request, replies) -> {
                  replies.onNext(make("Empty"));
                  replies.onCompleted();
                }))
        .addMethod(
            UNARY,
            ServerCalls.asyncUnaryCall(
                (request, replies) -> {
                  Status asked = askedStatus(request);
                  if (asked != null) {
                    replies.onError(asked.asRuntimeException());
                    return;
                  }
                  int size = (Integer) get(request, "response_size");
                  replies.onNext(make("SimpleResponse", "payload", payload(size)));
                  replies.onCompleted();
                }))
        .addMethod(
            INPUT,
            ServerCalls.asyncClientStreamingCall(
                replies ->
                    new Requests() {
                      private int size = 0;

                      @Override
                      public void onNext(DynamicMessage request) {
                        size += sizeOf(request);
                      }

                      @Override
                      public void onCompleted() {
                        String name = "aggregated_payload_size";
                        replies.onNext(make("StreamingInputCallResponse", name, size));
                        replies.onCompleted();
                      }
                    }))
        .addMethod(
            OUTPUT,
            ServerCalls.asyncServerStreamingCall(
                (request, replies) -> {
                  answer(request, replies);
                  replies.onCompleted();
                }))
        .addMethod(
            DUPLEX,
            ServerCalls.asyncBidiStreamingCall(
                replies ->
                    new Requests() {
                      private boolean isOver = false;

                      @Override
                      public void onNext(DynamicMessage request) {
                        Status asked = askedStatus(request);
                        if (asked == null) {
                          answer(request, replies);
                          return;
                        }
                        isOver = true;
                        replies.onError(asked.asRuntimeException());
                      }

                      @Override
                      public void onCompleted() {
                        if (!isOver) {
                          replies.onCompleted();
                        }
                      }
                    }))
        .build();
  }

  /** Says back the metadata of the suite. */
  private static final class Echo implements ServerInterceptor {
    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
      String initial = headers.get(INITIAL);
      byte[] trailing = headers.get(TRAILING);
      ServerCall<Q, A> echoing =
          new SimpleForwardingServerCall<Q, A>(call) {
            @Override
            public void sendHeaders(Metadata head) {
              if (initial != null) {
                head.put(INITIAL, initial);
              }
              super.sendHeaders(head);
            }

            @Override
            public void close(Status status, Metadata trailers) {
              if (trailing != null) {
                trailers.put(TRAILING, trailing);
              }
              super.close(status, trailers);
            }
          };
      return Contexts.interceptCall(Context.current(), echoing, headers, next);
    }
  }

  private static void serve() throws Exception {
    InetSocketAddress loopback = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
    Server server =
        NettyServerBuilder.forAddress(loopback, InsecureServerCredentials.create())
            .addService(ServerInterceptors.intercept(service(), new Echo()))
            .build()
            .start();
    System.out.println(server.getPort());
    while (System.in.read() >= 0) {
      // Until its input ends.
    }
    server.shutdownNow();
  }

  // --- the client ---

  /** What came of a stream: messages, and then how it ended. */
  private static final class Replies implements StreamObserver<DynamicMessage> {
    final BlockingQueue<Object> got = new LinkedBlockingQueue<>();

    @Override
    public void onNext(DynamicMessage reply) {
      got.add(reply);
    }

    @Override
    public void onError(Throwable error) {
      got.add(Status.fromThrowable(error));
    }

    @Override
    public void onCompleted() {
      got.add(Status.OK);
    }

    Object next() throws InterruptedException {
      Object next = got.poll(30, TimeUnit.SECONDS);
      if (next == null) {
        throw new AssertionError("nothing came");
      }
      return next;
    }

    int size() throws InterruptedException {
      Object next = next();
      if (next instanceof Status) {
        throw new AssertionError("the call ended: " + next);
      }
      return sizeOf((DynamicMessage) next);
    }

    void ends(Status.Code code, String text) throws InterruptedException {
      check((Status) next(), code, text);
    }
  }

  private static void check(Status status, Status.Code code, String text) {
    expect(status.getCode(), code);
    if (text != null) {
      expect(status.getDescription(), text);
    }
  }

  private static void expect(Object actual, Object expected) {
    if (!expected.equals(actual)) {
      throw new AssertionError(actual + ", expected " + expected);
    }
  }

  private interface Case {
    void run(ManagedChannel channel) throws Exception;
  }

  private static final CallOptions OPTIONS = CallOptions.DEFAULT;

  private static CallOptions within(long millis) {
    return OPTIONS.withDeadlineAfter(millis, TimeUnit.MILLISECONDS);
  }

  private static DynamicMessage unary(
      io.grpc.Channel channel,
      MethodDescriptor<DynamicMessage, DynamicMessage> method,
      DynamicMessage request) {
    return ClientCalls.blockingUnaryCall(channel, method, within(30_000), request);
  }

  private static StreamObserver<DynamicMessage> duplex(
      io.grpc.Channel channel, long millis, Replies replies) {
    return ClientCalls.asyncBidiStreamingCall(channel.newCall(DUPLEX, within(millis)), replies);
  }

  private static void fails(Runnable call, Status.Code code, String text) {
    try {
      call.run();
    } catch (StatusRuntimeException error) {
      check(error.getStatus(), code, text);
      return;
    }
    throw new AssertionError("the call did not fail");
  }

  private static void customMetadata(ManagedChannel channel) throws Exception {
    Metadata sent = new Metadata();
    byte[] trailing = {10, 11, 10, 11, 10, 11};
    sent.put(INITIAL, "test_initial_metadata_value");
    sent.put(TRAILING, trailing);
    AtomicReference<Metadata> head = new AtomicReference<>();
    AtomicReference<Metadata> trailers = new AtomicReference<>();
    io.grpc.Channel both =
        ClientInterceptors.intercept(
            channel,
            MetadataUtils.newAttachHeadersInterceptor(sent),
            MetadataUtils.newCaptureMetadataInterceptor(head, trailers));
    unary(both, UNARY, make("SimpleRequest", "response_size", 1, "payload", payload(1)));
    expect(head.get().get(INITIAL), "test_initial_metadata_value");
    expect(Arrays.toString(trailers.get().get(TRAILING)), Arrays.toString(trailing));
    head.set(null);
    trailers.set(null);
    Replies replies = new Replies();
    StreamObserver<DynamicMessage> requests = duplex(both, 30_000, replies);
    requests.onNext(asks(1, 1));
    expect(replies.size(), 1);
    requests.onCompleted();
    replies.ends(Status.Code.OK, null);
    expect(head.get().get(INITIAL), "test_initial_metadata_value");
    expect(Arrays.toString(trailers.get().get(TRAILING)), Arrays.toString(trailing));
  }

  private static void statusCodeAndMessage(ManagedChannel channel) throws Exception {
    String text = "test status message";
    DynamicMessage status = make("EchoStatus", "code", 2, "message", text);
    fails(
        () -> unary(channel, UNARY, make("SimpleRequest", "response_status", status)),
        Status.Code.UNKNOWN,
        text);
    Replies replies = new Replies();
    StreamObserver<DynamicMessage> requests = duplex(channel, 30_000, replies);
    requests.onNext(make("StreamingOutputCallRequest", "response_status", status));
    requests.onCompleted();
    replies.ends(Status.Code.UNKNOWN, text);
  }

  private static final Map<String, Case> CASES = new TreeMap<>();

  static {
    CASES.put("empty_unary", channel -> expect(unary(channel, EMPTY, make("Empty")), make("Empty")));
    CASES.put(
        "large_unary",
        channel -> {
          Object[] fields = {"response_size", 314159, "payload", payload(271828)};
          expect(sizeOf(unary(channel, UNARY, make("SimpleRequest", fields))), 314159);
        });
    CASES.put(
        "client_streaming",
        channel -> {
          Replies replies = new Replies();
          StreamObserver<DynamicMessage> requests =
              ClientCalls.asyncClientStreamingCall(channel.newCall(INPUT, within(30_000)), replies);
          for (int size : REQUEST_SIZES) {
            requests.onNext(make("StreamingInputCallRequest", "payload", payload(size)));
          }
          requests.onCompleted();
          Object reply = replies.next();
          expect(get((Message) reply, "aggregated_payload_size"), 74922);
          replies.ends(Status.Code.OK, null);
        });
    CASES.put(
        "server_streaming",
        channel -> {
          Iterator<DynamicMessage> replies =
              ClientCalls.blockingServerStreamingCall(
                  channel, OUTPUT, within(30_000), asks(0, REPLY_SIZES));
          for (int size : REPLY_SIZES) {
            expect(sizeOf(replies.next()), size);
          }
          expect(replies.hasNext(), false);
        });
    CASES.put(
        "ping_pong",
        channel -> {
          Replies replies = new Replies();
          StreamObserver<DynamicMessage> requests = duplex(channel, 30_000, replies);
          for (int index = 0; index < REPLY_SIZES.length; index++) {
            requests.onNext(asks(REQUEST_SIZES[index], REPLY_SIZES[index]));
            expect(replies.size(), REPLY_SIZES[index]);
          }
          requests.onCompleted();
          replies.ends(Status.Code.OK, null);
        });
    CASES.put(
        "empty_stream",
        channel -> {
          Replies replies = new Replies();
          duplex(channel, 30_000, replies).onCompleted();
          replies.ends(Status.Code.OK, null);
        });
    CASES.put(
        "timeout_on_sleeping_server",
        channel -> {
          Replies replies = new Replies();
          StreamObserver<DynamicMessage> requests = duplex(channel, 1, replies);
          try {
            requests.onNext(asks(27182));
          } catch (IllegalStateException error) {
            // It was over already.
          }
          replies.ends(Status.Code.DEADLINE_EXCEEDED, null);
        });
    CASES.put(
        "cancel_after_begin",
        channel -> {
          Replies replies = new Replies();
          StreamObserver<DynamicMessage> requests =
              ClientCalls.asyncClientStreamingCall(channel.newCall(INPUT, within(30_000)), replies);
          ((ClientCallStreamObserver<DynamicMessage>) requests).cancel("by the case", null);
          replies.ends(Status.Code.CANCELLED, null);
        });
    CASES.put(
        "cancel_after_first_response",
        channel -> {
          Replies replies = new Replies();
          StreamObserver<DynamicMessage> requests = duplex(channel, 30_000, replies);
          requests.onNext(asks(27182, 31415));
          expect(replies.size(), 31415);
          ((ClientCallStreamObserver<DynamicMessage>) requests).cancel("by the case", null);
          replies.ends(Status.Code.CANCELLED, null);
        });
    CASES.put("custom_metadata", Driver::customMetadata);
    CASES.put("status_code_and_message", Driver::statusCodeAndMessage);
    CASES.put(
        "special_status_message",
        channel -> {
          DynamicMessage status = make("EchoStatus", "code", 2, "message", SPECIAL);
          fails(
              () -> unary(channel, UNARY, make("SimpleRequest", "response_status", status)),
              Status.Code.UNKNOWN,
              SPECIAL);
        });
    CASES.put(
        "unimplemented_method",
        channel ->
            fails(
                () -> unary(channel, NO_METHOD, make("Empty")), Status.Code.UNIMPLEMENTED, null));
    CASES.put(
        "unimplemented_service",
        channel ->
            fails(
                () -> unary(channel, NO_SERVICE, make("Empty")), Status.Code.UNIMPLEMENTED, null));
  }

  private static String quoted(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char letter : text.toCharArray()) {
      if (letter < ' ' || letter == '"' || letter == '\\' || letter > '~') {
        out.append(String.format("\\u%04x", (int) letter));
      } else {
        out.append(letter);
      }
    }
    return out.append('"').toString();
  }

  private static void call(String address, String[] names) {
    ManagedChannel channel = ManagedChannelBuilder.forTarget(address).usePlaintext().build();
    for (String name : names) {
      String result = "true";
      try {
        CASES.get(name).run(channel);
      } catch (Exception | AssertionError error) {
        result = "false,\"error\":" + quoted(error.toString());
      }
      String head = "{\"address\":" + quoted(address) + ",\"check\":" + quoted(name);
      System.out.println(head + ",\"ok\":" + result + "}");
    }
    channel.shutdownNow();
  }

  public static void main(String[] args) throws Exception {
    if (args.length == 1 && args[0].equals("serve")) {
      serve();
    }
    for (int index = 1; index + 1 < args.length; index += 2) {
      call(args[index], args[index + 1].split(","));
    }
    System.exit(0);
  }

  private Driver() {}
}
