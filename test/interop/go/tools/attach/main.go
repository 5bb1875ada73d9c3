// A provider without a port: it attaches to the broker with grpc-go and the published .proto alone.
//
//	attach DESCRIPTOR-SET HOST:PORT SERVICE
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

const (
	capacity = 4
	window   = 262144
	overhead = 32
)

type fields map[string]any

type call struct {
	provider  *provider
	id        uint32
	requests  chan []byte
	mutex     sync.Mutex
	room      int
	changed   *sync.Cond
	cancelled context.Context
	cancel    context.CancelFunc
	isEnded   bool
}

type provider struct {
	stream grpc.ClientStream
	from   protoreflect.MessageDescriptor
	to     protoreflect.MessageDescriptor
	write  sync.Mutex
	mutex  sync.Mutex
	calls  map[uint32]*call
}

func main() {
	set, target, service := os.Args[1], os.Args[2], os.Args[3]
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	messages := messagesIn(set)
	stream, err := connection.NewStream(context.Background(),
		&grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
		"/waystation.rpc.v1.Provider/Attach")
	if err != nil {
		log.Fatal(err)
	}
	p := &provider{
		stream: stream,
		from:   messages.ByName("FromProvider"),
		to:     messages.ByName("ToProvider"),
		calls:  map[uint32]*call{},
	}
	p.send("register", fields{"services": []string{service}, "capacity": capacity})
	// Whoever closes our standard input wants us to go.
	go func() {
		io.Copy(io.Discard, os.Stdin)
		p.send("drain", fields{})
	}()
	for {
		message := dynamicpb.NewMessage(p.to)
		if err := stream.RecvMsg(message); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		p.heard(message)
	}
}

// messagesIn reads what a compiler of .proto files has written of the file.
func messagesIn(path string) protoreflect.MessageDescriptors {
	bytes, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(bytes, set); err != nil {
		log.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		log.Fatal(err)
	}
	file, err := files.FindFileByPath("waystation/rpc/v1/provider.proto")
	if err != nil {
		log.Fatal(err)
	}
	return file.Messages()
}

// send writes one FromProvider, given as protobuf's JSON; octets are added as they are.
func (p *provider) send(kind string, said fields, octets ...[]byte) {
	message := dynamicpb.NewMessage(p.from)
	text := &strings.Builder{}
	fmt.Fprintf(text, `{%q: %s}`, kind, jsonOf(said))
	if err := protojson.Unmarshal([]byte(text.String()), message); err != nil {
		log.Fatal(err)
	}
	for _, bytes := range octets {
		inner := message.Mutable(p.from.Fields().ByName(protoreflect.Name(kind))).Message()
		inner.Set(inner.Descriptor().Fields().ByName("message"), protoreflect.ValueOfBytes(bytes))
	}
	p.write.Lock()
	defer p.write.Unlock()
	if err := p.stream.SendMsg(proto.Message(message)); err != nil && err != io.EOF {
		log.Fatal(err)
	}
}

func jsonOf(said fields) string {
	parts := []string{}
	for name, value := range said {
		switch typed := value.(type) {
		case []string:
			parts = append(parts, fmt.Sprintf(`%q: [%q]`, name, typed[0]))
		case string:
			parts = append(parts, fmt.Sprintf(`%q: %q`, name, typed))
		default:
			parts = append(parts, fmt.Sprintf(`%q: %v`, name, typed))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (p *provider) heard(message *dynamicpb.Message) {
	choice := message.WhichOneof(p.to.Oneofs().ByName("kind"))
	if choice == nil {
		return
	}
	inner := message.Get(choice).Message()
	get := func(name protoreflect.Name) protoreflect.Value {
		return inner.Get(inner.Descriptor().Fields().ByName(name))
	}
	switch choice.Name() {
	case "registered":
		fmt.Println("attached as", get("instance_id").String())
		return
	case "drain":
		return
	case "call":
		c := &call{provider: p, id: uint32(get("id").Uint()), requests: make(chan []byte, 1024), room: window}
		c.changed = sync.NewCond(&c.mutex)
		c.cancelled, c.cancel = context.WithCancel(context.Background())
		p.mutex.Lock()
		p.calls[c.id] = c
		p.mutex.Unlock()
		path := get("path").String()
		go c.answer(path[strings.LastIndex(path, "/")+1:])
		return
	}
	p.mutex.Lock()
	c := p.calls[uint32(get("id").Uint())]
	p.mutex.Unlock()
	if c == nil {
		return
	}
	switch choice.Name() {
	case "request":
		if inner.Has(inner.Descriptor().Fields().ByName("message")) {
			c.requests <- get("message").Bytes()
		}
		if get("last").Bool() {
			c.endRequests()
		}
	case "credit":
		c.mutex.Lock()
		c.room += int(get("octets").Uint())
		c.mutex.Unlock()
		c.changed.Broadcast()
	case "cancel":
		c.cancel()
		c.endRequests()
		c.changed.Broadcast()
	}
}

// endRequests is called by the reader of the stream alone.
func (c *call) endRequests() {
	if !c.isEnded {
		c.isEnded = true
		close(c.requests)
	}
}

func (c *call) reply(message []byte) {
	c.mutex.Lock()
	for c.room <= 0 && c.cancelled.Err() == nil {
		c.changed.Wait()
	}
	c.room -= len(message) + overhead
	c.mutex.Unlock()
	if c.cancelled.Err() == nil {
		c.provider.send("reply", fields{"id": c.id}, message)
	}
}

func (c *call) answer(method string) {
	end := fields{"id": c.id}
	switch method {
	case "Echo":
		for request := range c.requests {
			c.reply(request)
		}
	case "Up":
		sum := 0
		for request := range c.requests {
			sum += len(request)
		}
		c.reply([]byte(strconv.Itoa(sum)))
	case "Down":
		for request := range c.requests {
			count, _ := strconv.Atoi(string(request))
			for ; count > 0; count-- {
				c.reply([]byte(strings.Repeat("x", 10_000)))
			}
		}
	case "Fail":
		end["code"] = uint32(codes.FailedPrecondition)
		end["text"] = "no tea today"
	case "Sleep":
		fmt.Println("asleep")
		<-c.cancelled.Done()
		fmt.Println("woken")
	default:
		end["code"] = uint32(codes.Unimplemented)
	}
	c.provider.mutex.Lock()
	delete(c.provider.calls, c.id)
	c.provider.mutex.Unlock()
	c.provider.send("end", end)
}
