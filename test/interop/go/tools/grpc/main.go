// The interop cases of gRPC for Go, as grpc-go's own client and server do them:
//
//	grpc serve                              serves on a free port, which it prints, until its input ends
//	grpc call ADDRESS CASE,CASE [ADDRESS CASE,CASE ...]
//
// Each case prints a line of JSON with the address, the case, and whether it passed.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
)

const caseWithin = 30 * time.Second

// failure is what a case says before it would end the process.
type failure string

// catching makes the first complaint of a case its result: the cases know no other way to fail.
type catching struct{ grpclog.LoggerV2 }

func (catching) Fatal(args ...any)                 { panic(failure(fmt.Sprint(args...))) }
func (catching) Fatalln(args ...any)               { panic(failure(fmt.Sprintln(args...))) }
func (catching) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }
func (catching) InfoDepth(int, ...any)             {}
func (catching) WarningDepth(int, ...any)          {}
func (catching) ErrorDepth(int, ...any)            {}
func (catching) FatalDepth(_ int, args ...any)     { panic(failure(fmt.Sprint(args...))) }

type interopCase func(ctx context.Context, connection *grpc.ClientConn)

func ofService(run func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)) interopCase {
	return func(ctx context.Context, connection *grpc.ClientConn) {
		run(ctx, testgrpc.NewTestServiceClient(connection))
	}
}

var cases = map[string]interopCase{
	"empty_unary":                 ofService(interop.DoEmptyUnaryCall),
	"large_unary":                 ofService(interop.DoLargeUnaryCall),
	"client_streaming":            ofService(interop.DoClientStreaming),
	"server_streaming":            ofService(interop.DoServerStreaming),
	"ping_pong":                   ofService(interop.DoPingPong),
	"empty_stream":                ofService(interop.DoEmptyStream),
	"timeout_on_sleeping_server":  ofService(interop.DoTimeoutOnSleepingServer),
	"cancel_after_begin":          ofService(interop.DoCancelAfterBegin),
	"cancel_after_first_response": ofService(interop.DoCancelAfterFirstResponse),
	"custom_metadata":             ofService(interop.DoCustomMetadata),
	"status_code_and_message":     ofService(interop.DoStatusCodeAndMessage),
	"special_status_message":      ofService(interop.DoSpecialStatusMessage),
	"unimplemented_method":        interop.DoUnimplementedMethod,
	"unimplemented_service": func(ctx context.Context, connection *grpc.ClientConn) {
		interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(connection))
	},
}

type result struct {
	Address string `json:"address"`
	Check   string `json:"check"`
	OK      bool   `json:"ok"`
	Error   string `json:"error,omitempty"`
}

func run(address, name string, connection *grpc.ClientConn) (outcome result) {
	outcome = result{Address: address, Check: name}
	defer func() {
		if thrown := recover(); thrown != nil {
			outcome.Error = fmt.Sprint(thrown)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), caseWithin)
	defer cancel()
	do, known := cases[name]
	if !known {
		panic("there is no such case")
	}
	do(ctx, connection)
	outcome.OK = true
	return outcome
}

func call(targets []string) error {
	output := json.NewEncoder(os.Stdout)
	for len(targets) >= 2 {
		address, names := targets[0], strings.Split(targets[1], ",")
		targets = targets[2:]
		plain := grpc.WithTransportCredentials(insecure.NewCredentials())
		connection, err := grpc.NewClient(address, plain)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := output.Encode(run(address, name, connection)); err != nil {
				return err
			}
		}
		if err := connection.Close(); err != nil {
			return err
		}
	}
	return nil
}

func serve() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
	reflection.Register(server)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	return server.Serve(listener)
}

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
		err = serve()
	case len(os.Args) >= 4 && os.Args[1] == "call":
		grpclog.SetLoggerV2(catching{grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)})
		err = call(os.Args[2:])
	default:
		err = fmt.Errorf("expected: serve, or: call ADDRESS CASES ...")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
