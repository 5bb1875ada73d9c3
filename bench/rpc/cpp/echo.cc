// gRPC in C++ without generated code: a server that answers every call with what it was sent, and a
// caller that keeps calls open.
//
//   echo provide                                 prints HOST:PORT when it listens
//   echo call HOST:PORT IN_FLIGHT SECONDS        prints calls a second and percentiles as JSON
//
// Built by bench/rpc/cpp/build.sh with Debian's libgrpc++-dev.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

namespace {

using Clock = std::chrono::steady_clock;

constexpr char kPath[] = "/bench.v1.ProtoEcho/echo";
// One in so many calls is timed, as in the other callers.
constexpr long kSampled = 8;
constexpr double kWarmUpPart = 0.3;

class Echo : public grpc::ServerGenericBidiReactor {
 public:
  Echo() { StartRead(&message_); }
  void OnReadDone(bool ok) override {
    if (ok) StartWriteAndFinish(&message_, grpc::WriteOptions(), grpc::Status::OK);
    else Finish(grpc::Status::OK);
  }
  void OnDone() override { delete this; }

 private:
  grpc::ByteBuffer message_;
};

class EchoService : public grpc::CallbackGenericService {
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new Echo();
  }
};

int Provide() {
  EchoService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(&service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::printf("127.0.0.1:%d\n", port);
  std::fflush(stdout);
  server->Wait();
  return 0;
}

grpc::ByteBuffer Input() {
  // `message Text { string text = 1; }` with 88 octets of text, as the other callers send it.
  grpc::Slice slice(std::string("\x0a\x58") + std::string(88, 'x'));
  return grpc::ByteBuffer(&slice, 1);
}

struct Call {
  grpc::ClientContext context;
  grpc::ByteBuffer reply;
  grpc::Status status;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  Clock::time_point began;
};

struct Run {
  long count = 0;
  std::vector<double> samples;
};

// Calls with one completion queue and one thread, as a client in a hurry does.
Run Drive(grpc::GenericStub& stub, int in_flight, double seconds) {
  grpc::CompletionQueue queue;
  const grpc::ByteBuffer input = Input();
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  const auto start = [&] {
    auto* call = new Call();
    call->began = Clock::now();
    call->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    call->reader = stub.PrepareUnaryCall(&call->context, kPath, input, &queue);
    call->reader->StartCall();
    call->reader->Finish(&call->reply, &call->status, call);
  };
  Run run;
  int open = 0;
  for (; open < in_flight; open++) start();
  void* tag = nullptr;
  bool ok = false;
  while (open > 0 && queue.Next(&tag, &ok)) {
    auto* call = static_cast<Call*>(tag);
    if (!call->status.ok()) {
      std::fprintf(stderr, "%d %s\n", call->status.error_code(), call->status.error_message().c_str());
      std::exit(1);
    }
    const auto now = Clock::now();
    if (++run.count % kSampled == 0)
      run.samples.push_back(std::chrono::duration<double, std::milli>(now - call->began).count());
    delete call;
    if (now < end) start();
    else open--;
  }
  return run;
}

int CallMany(const char* target, int in_flight, double seconds) {
  auto channel = grpc::CreateChannel(target, grpc::InsecureChannelCredentials());
  grpc::GenericStub stub(channel);
  Drive(stub, in_flight, seconds * kWarmUpPart);
  const auto began = Clock::now();
  Run run = Drive(stub, in_flight, seconds);
  const double took = std::chrono::duration<double>(Clock::now() - began).count();
  std::sort(run.samples.begin(), run.samples.end());
  const auto at = [&](double part) {
    return run.samples.empty() ? 0.0 : run.samples[static_cast<size_t>(run.samples.size() * part)];
  };
  std::printf("{\"callsPerSecond\":%f,\"p50Ms\":%f,\"p99Ms\":%f}\n", run.count / took, at(0.5), at(0.99));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string role = argc > 1 ? argv[1] : "";
  if (role == "provide") return Provide();
  if (role == "call" && argc == 5) return CallMany(argv[2], std::atoi(argv[3]), std::atof(argv[4]));
  std::fprintf(stderr, "usage: echo provide | echo call HOST:PORT IN_FLIGHT SECONDS\n");
  return 2;
}
