// Asks a broker for the checks of test/interop/checks.ts with amqp091-go, one JSON line each.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const wait = 5 * time.Second

type session struct {
	url     string
	conn    *amqp.Connection
	channel *amqp.Channel
	names   []string
}

type result struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// fail ends the running check; run turns it into a result.
func fail(format string, args ...any) {
	panic(fmt.Errorf(format, args...))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func same(seen, wanted any) {
	if !reflect.DeepEqual(seen, wanted) {
		fail("%#v was expected, got %#v", wanted, seen)
	}
}

func open(url string) *session {
	conn, err := amqp.Dial(url)
	must(err)
	channel, err := conn.Channel()
	must(err)
	return &session{url: url, conn: conn, channel: channel}
}

func (s *session) close() {
	if s.conn.IsClosed() {
		return
	}
	if channel, err := s.conn.Channel(); err == nil {
		for _, name := range s.names {
			_, _ = channel.QueueDelete(name, false, false, false)
		}
	}
	_ = s.conn.Close()
}

func (s *session) queue(durable, exclusive bool, args amqp.Table) string {
	name := fmt.Sprintf("ws.go.%x", rand.Uint64())
	s.names = append(s.names, name)
	_, err := s.channel.QueueDeclare(name, durable, false, exclusive, false, args)
	must(err)
	return name
}

func (s *session) send(queue string, message amqp.Publishing) {
	must(s.channel.Publish("", queue, false, false, message))
}

func text(body string) amqp.Publishing {
	return amqp.Publishing{Body: []byte(body)}
}

func (s *session) get(queue string) amqp.Delivery {
	for end := time.Now().Add(wait); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		delivery, ok, err := s.channel.Get(queue, false)
		must(err)
		if ok {
			return delivery
		}
	}
	fail("no message in %s", queue)
	return amqp.Delivery{}
}

func next(deliveries <-chan amqp.Delivery) amqp.Delivery {
	select {
	case delivery := <-deliveries:
		return delivery
	case <-time.After(wait):
		fail("no delivery")
		return amqp.Delivery{}
	}
}

// refused asserts that action, on a connection of its own, closes the channel with code.
func (s *session) refused(code int, action func(channel *amqp.Channel) error) {
	other := open(s.url)
	defer other.close()
	closed := other.channel.NotifyClose(make(chan *amqp.Error, 1))
	err := action(other.channel)
	var refusal *amqp.Error
	if errors.As(err, &refusal) {
		same(refusal.Code, code)
		return
	}
	select {
	case refusal = <-closed:
		same(refusal.Code, code)
	case <-time.After(wait):
		fail("%d was expected, nothing was refused (%v)", code, err)
	}
}

func declare(s *session) {
	args := amqp.Table{"x-max-length": int32(10)}
	queue := s.queue(true, false, args)
	again, err := s.channel.QueueDeclare(queue, true, false, false, false, args)
	must(err)
	same(again.Messages, 0)
	must(s.channel.ExchangeDeclare(queue, "topic", false, true, false, false, nil))
	must(s.channel.QueueBind(queue, "a.*", queue, false, nil))
	must(s.channel.Publish(queue, "a.b", false, false, text("routed")))
	same(string(s.get(queue).Body), "routed")
	must(s.channel.QueueUnbind(queue, "a.*", queue, nil))
}

func serverNamed(s *session) {
	queue, err := s.channel.QueueDeclare("", false, false, true, false, nil)
	must(err)
	if !strings.HasPrefix(queue.Name, "amq.gen-") {
		fail("the name is %s", queue.Name)
	}
	s.send(queue.Name, text("x"))
	same(string(s.get(queue.Name).Body), "x")
}

func confirm(s *session) {
	queue := s.queue(true, false, nil)
	must(s.channel.Confirm(false))
	const count = 500
	confirms := s.channel.NotifyPublish(make(chan amqp.Confirmation, count))
	for index := range count {
		message := text(fmt.Sprint(index))
		message.DeliveryMode = amqp.Persistent
		s.send(queue, message)
	}
	for index := range count {
		select {
		case confirmation := <-confirms:
			same(confirmation.Ack, true)
			same(confirmation.DeliveryTag, uint64(index+1))
		case <-time.After(wait):
			fail("only %d confirms", index)
		}
	}
	seen, err := s.channel.QueueDeclarePassive(queue, true, false, false, false, nil)
	must(err)
	same(seen.Messages, count)
}

func consume(s *session) {
	queue := s.queue(false, false, nil)
	deliveries, err := s.channel.Consume(queue, "", false, false, false, false, nil)
	must(err)
	for _, body := range []string{"a", "b", "c"} {
		s.send(queue, text(body))
	}
	for _, body := range []string{"a", "b", "c"} {
		delivery := next(deliveries)
		same(string(delivery.Body), body)
		must(delivery.Ack(false))
	}
}

func ack(s *session) {
	queue := s.queue(false, false, nil)
	for _, body := range []string{"a", "b", "c"} {
		s.send(queue, text(body))
	}
	s.get(queue)
	second, third := s.get(queue), s.get(queue)
	must(second.Ack(true))
	must(third.Nack(false, true))
	last := s.get(queue)
	same([]any{string(last.Body), last.Redelivered, last.MessageCount}, []any{"c", true, uint32(0)})
}

func nackRequeue(s *session) {
	queue := s.queue(false, false, nil)
	s.send(queue, text("again"))
	first := s.get(queue)
	same(first.Redelivered, false)
	must(first.Nack(false, true))
	second := s.get(queue)
	same([]any{string(second.Body), second.Redelivered}, []any{"again", true})
	must(second.Reject(false))
}

func deadLetter(s *session) {
	dead := s.queue(false, false, nil)
	queue := s.queue(false, false, amqp.Table{
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead,
	})
	s.send(queue, text("bad"))
	must(s.get(queue).Nack(false, false))
	letter := s.get(dead)
	same(string(letter.Body), "bad")
	deaths, ok := letter.Headers["x-death"].([]any)
	if !ok || len(deaths) != 1 {
		fail("x-death is %#v", letter.Headers["x-death"])
	}
	death, ok := deaths[0].(amqp.Table)
	if !ok {
		fail("a death is %#v", deaths[0])
	}
	same([]any{death["queue"], death["reason"], death["count"]}, []any{queue, "rejected", int64(1)})
}

func mandatoryReturn(s *session) {
	returns := s.channel.NotifyReturn(make(chan amqp.Return, 1))
	must(s.channel.Publish("amq.direct", "nowhere", true, false, text("back")))
	select {
	case returned := <-returns:
		same([]any{string(returned.Body), returned.ReplyCode}, []any{"back", uint16(312)})
	case <-time.After(wait):
		fail("the message was not returned")
	}
}

func exclusive(s *session) {
	queue := s.queue(false, true, nil)
	s.send(queue, text("own"))
	same(string(s.get(queue).Body), "own")
	s.refused(405, func(channel *amqp.Channel) error {
		_, err := channel.Consume(queue, "", false, false, false, false, nil)
		return err
	})
}

func prefetch(s *session) {
	queue := s.queue(false, false, nil)
	for _, body := range []string{"a", "b", "c"} {
		s.send(queue, text(body))
	}
	must(s.channel.Qos(2, 0, false))
	deliveries, err := s.channel.Consume(queue, "", false, false, false, false, nil)
	must(err)
	first := next(deliveries)
	same(string(next(deliveries).Body), "b")
	select {
	case delivery := <-deliveries:
		fail("%s came beyond the limit", delivery.Body)
	case <-time.After(100 * time.Millisecond):
	}
	must(first.Ack(false))
	same(string(next(deliveries).Body), "c")
}

func error403(s *session) {
	s.refused(403, func(channel *amqp.Channel) error {
		_, err := channel.QueueDeclare("amq.mine", false, false, false, false, nil)
		return err
	})
}

func error404(s *session) {
	s.refused(404, func(channel *amqp.Channel) error {
		_, err := channel.QueueDeclarePassive("ws.go.missing", false, false, false, false, nil)
		return err
	})
	s.refused(404, func(channel *amqp.Channel) error {
		return channel.Publish("ws.go.missing", "k", false, false, text("x"))
	})
}

func error405(s *session) {
	queue := s.queue(false, true, nil)
	s.refused(405, func(channel *amqp.Channel) error {
		_, err := channel.QueuePurge(queue, false)
		return err
	})
}

func error406(s *session) {
	queue := s.queue(true, false, nil)
	s.refused(406, func(channel *amqp.Channel) error {
		_, err := channel.QueueDeclare(queue, false, false, false, false, nil)
		return err
	})
}

func properties(s *session) {
	queue := s.queue(false, false, nil)
	sent := amqp.Publishing{
		ContentType: "text/plain", ContentEncoding: "utf-8", DeliveryMode: 2, Priority: 3,
		CorrelationId: "c", ReplyTo: "r", Expiration: "60000", MessageId: "m",
		Timestamp: time.Unix(1_700_000_000, 0), Type: "t", UserId: "guest", AppId: "a",
		Body: []byte("x"),
	}
	s.send(queue, sent)
	seen := s.get(queue)
	same(amqp.Publishing{
		ContentType: seen.ContentType, ContentEncoding: seen.ContentEncoding,
		DeliveryMode: seen.DeliveryMode, Priority: seen.Priority, CorrelationId: seen.CorrelationId,
		ReplyTo: seen.ReplyTo, Expiration: seen.Expiration, MessageId: seen.MessageId,
		Timestamp: seen.Timestamp.Local(), Type: seen.Type, UserId: seen.UserId, AppId: seen.AppId,
		Body: seen.Body,
	}, sent)
}

func headerTypes(s *session) {
	queue := s.queue(false, false, nil)
	sent := amqp.Table{
		"void": nil, "bool": true, "byte": byte(200), "int8": int8(-5), "int16": int16(-300),
		"int32": int32(-70_000), "int64": int64(math.MinInt64), "float32": float32(0.5),
		"float64": math.Pi, "decimal": amqp.Decimal{Scale: 2, Value: 1234}, "string": "naïve ✓",
		"bytes": []byte{0, 255}, "time": time.Unix(1_700_000_000, 0),
		"table": amqp.Table{"inner": amqp.Table{"deep": "x"}},
		"array": []any{"a", int32(1), true, nil, amqp.Table{"b": "c"}},
	}
	s.send(queue, amqp.Publishing{Headers: sent, Body: []byte("x")})
	seen := s.get(queue).Headers
	if at, ok := seen["time"].(time.Time); ok {
		seen["time"] = at.Local()
	}
	for name, value := range sent {
		if !reflect.DeepEqual(seen[name], value) {
			fail("%s: %#v was expected, got %#v", name, value, seen[name])
		}
	}
	same(len(seen), len(sent))
}

func run(url, name string, check func(*session)) (outcome result) {
	outcome = result{Check: name, OK: true}
	defer func() {
		if cause := recover(); cause != nil {
			outcome = result{Check: name, Error: fmt.Sprint(cause)}
		}
	}()
	s := open(url)
	defer s.close()
	check(s)
	return outcome
}

func main() {
	checks := []struct {
		name  string
		check func(*session)
	}{
		{"declare", declare},
		{"server-named", serverNamed},
		{"confirm", confirm},
		{"consume", consume},
		{"ack", ack},
		{"nack-requeue", nackRequeue},
		{"dead-letter", deadLetter},
		{"mandatory-return", mandatoryReturn},
		{"exclusive", exclusive},
		{"prefetch", prefetch},
		{"error-403", error403},
		{"error-404", error404},
		{"error-405", error405},
		{"error-406", error406},
		{"properties", properties},
		{"header-types", headerTypes},
	}
	failed := false
	out := json.NewEncoder(os.Stdout)
	for _, each := range checks {
		outcome := run(os.Args[1], each.name, each.check)
		failed = failed || !outcome.OK
		must(out.Encode(outcome))
	}
	if failed {
		os.Exit(1)
	}
}
