// Asks a broker for the checks of test/interop/mqtt-checks.ts with eclipse's Go clients, one JSON
// line each: paho.mqtt.golang for MQTT 3.1.1, autopaho for MQTT 5.0.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

const (
	wait  = 20 * time.Second
	quiet = 300 * time.Millisecond
)

// message is what came; properties are nil in MQTT 3.1.1.
type message struct {
	topic      string
	body       []byte
	qos        byte
	retain     bool
	properties *paho.PublishProperties
}

// options of one connection.
type options struct {
	id       string
	kept     bool
	will     string
	password string
}

// client is one connection; both libraries are hidden behind it.
type client interface {
	// subscribe returns what was granted.
	subscribe(filter string, qos byte, noLocal bool) byte
	// publish returns when the broker has acknowledged.
	publish(message)
	inbox() <-chan message
	sessionPresent() bool
	close()
	// vanish ends the connection without a word.
	vanish()
}

// connector returns an error when the broker refuses.
type connector func(server *url.URL, o options) (client, error)

type world struct {
	server  *url.URL
	connect connector
}

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

func name() string {
	return fmt.Sprintf("ws/go/%x", rand.Uint64())
}

func (w world) open(o options) client {
	if o.id == "" {
		o.id = "ws-go-" + strconv.FormatUint(rand.Uint64(), 36)
	}
	c, err := w.connect(w.server, o)
	must(err)
	return c
}

func next(c client) message {
	select {
	case m := <-c.inbox():
		return m
	case <-time.After(wait):
		fail("nothing came")
		return message{}
	}
}

func silent(c client) {
	select {
	case m := <-c.inbox():
		fail("%s came in %s, and nothing should", m.body, m.topic)
	case <-time.After(quiet):
	}
}

func roundTrip(qos byte) func(world) {
	return func(w world) {
		c, topic := w.open(options{}), name()
		defer c.close()
		same(c.subscribe(topic, qos, false), qos)
		for number := range 20 {
			c.publish(message{topic: topic, body: []byte(strconv.Itoa(number)), qos: qos})
		}
		for number := range 20 {
			m := next(c)
			same(string(m.body), strconv.Itoa(number))
			same([]any{m.qos, m.retain}, []any{qos, false})
		}
		silent(c)
	}
}

func wildcards(w world) {
	c, topic := w.open(options{}), name()
	defer c.close()
	c.subscribe(topic+"/+/c", 1, false)
	for _, rest := range []string{"/a/c", "/a/b", "/b/c", "//c"} {
		c.publish(message{topic: topic + rest, body: []byte("x"), qos: 1})
	}
	for _, rest := range []string{"/a/c", "/b/c", "//c"} {
		same(next(c).topic, topic+rest)
	}
	silent(c)
}

func retained(w world) {
	c, topic := w.open(options{}), name()
	c.publish(message{topic: topic + "/a", body: []byte("old"), qos: 1, retain: true})
	c.publish(message{topic: topic + "/a", body: []byte("kept"), qos: 1, retain: true})
	c.subscribe(topic+"/#", 1, false)
	m := next(c)
	same([]any{m.retain, string(m.body)}, []any{true, "kept"})
	c.publish(message{topic: topic + "/a", qos: 1, retain: true})
	same(len(next(c).body), 0)
	c.close()
	later := w.open(options{})
	defer later.close()
	later.subscribe(topic+"/#", 1, false)
	silent(later)
}

func will(w world) {
	c, topic := w.open(options{}), name()
	defer c.close()
	c.subscribe(topic, 1, false)
	w.open(options{will: topic}).close()
	silent(c)
	w.open(options{will: topic}).vanish()
	same(string(next(c).body), "gone")
}

func session(w world) {
	topic := name()
	kept := options{id: "ws-go-" + strconv.FormatUint(rand.Uint64(), 36), kept: true}
	first := w.open(kept)
	same(first.sessionPresent(), false)
	first.subscribe(topic, 2, false)
	first.vanish()
	other := w.open(options{})
	defer other.close()
	for _, qos := range []byte{1, 2} {
		other.publish(message{topic: topic, body: []byte(strconv.Itoa(int(qos))), qos: qos})
	}
	again := w.open(kept)
	same(again.sessionPresent(), true)
	same([]string{string(next(again).body), string(next(again).body)}, []string{"1", "2"})
	silent(again)
	again.close()
	fresh := w.open(options{id: kept.id})
	same(fresh.sessionPresent(), false)
	fresh.close()
}

func shared(w world) {
	topic := name()
	members := []client{w.open(options{}), w.open(options{})}
	wanted := []string{}
	for _, member := range members {
		defer member.close()
		member.subscribe("$share/g/"+topic, 1, false)
	}
	for number := range 40 {
		body := strconv.Itoa(number)
		wanted = append(wanted, body)
		members[0].publish(message{topic: topic, body: []byte(body), qos: 1})
	}
	seen := []string{}
	for _, member := range members {
		for more := true; more; {
			select {
			case m := <-member.inbox():
				seen = append(seen, string(m.body))
			case <-time.After(quiet):
				more = false
			}
		}
	}
	slices.Sort(seen)
	slices.Sort(wanted)
	same(seen, wanted)
}

func wrongPassword(w world) {
	c, err := w.connect(w.server, options{id: "ws-go-wrong", password: "wrong"})
	if err == nil {
		c.close()
		fail("a wrong password was taken")
	}
	if !strings.Contains(strings.ToLower(err.Error()), "bad user name or password") {
		fail("refused with %v", err)
	}
}

func large(w world) {
	c, topic := w.open(options{}), name()
	defer c.close()
	body := bytes.Repeat([]byte{0, 1, 255, 128}, 512*1024)
	c.subscribe(topic, 1, false)
	c.publish(message{topic: topic, body: body, qos: 1})
	if !bytes.Equal(next(c).body, body) {
		fail("the body came back otherwise")
	}
}

func properties(w world) {
	c, topic := w.open(options{}), name()
	defer c.close()
	format := byte(1)
	sent := &paho.PublishProperties{
		ContentType: "a/b", ResponseTopic: "answers/1", CorrelationData: []byte{0, 255},
		PayloadFormat: &format,
		User:          paho.UserProperties{{Key: "k", Value: "v"}, {Key: "k", Value: "w"}, {Key: "a"}},
	}
	c.subscribe(topic, 1, false)
	c.publish(message{topic: topic, body: []byte("x"), qos: 1, properties: sent})
	got := next(c).properties
	same(got.ContentType, sent.ContentType)
	same(got.ResponseTopic, sent.ResponseTopic)
	same(got.CorrelationData, sent.CorrelationData)
	same(*got.PayloadFormat, format)
	same(got.User, sent.User)
}

func expiry(w world) {
	c, topic := w.open(options{}), name()
	defer c.close()
	seconds := uint32(30)
	c.subscribe(topic, 1, false)
	sent := &paho.PublishProperties{MessageExpiry: &seconds}
	c.publish(message{topic: topic, body: []byte("x"), qos: 1, properties: sent})
	left := *next(c).properties.MessageExpiry
	if left < 28 || left > 30 {
		fail("%d seconds are left of 30", left)
	}
}

func noLocal(w world) {
	c, other, topic := w.open(options{}), w.open(options{}), name()
	defer c.close()
	defer other.close()
	c.subscribe(topic, 1, true)
	c.publish(message{topic: topic, body: []byte("mine"), qos: 1})
	other.publish(message{topic: topic, body: []byte("theirs"), qos: 1})
	same(string(next(c).body), "theirs")
	silent(c)
}

type result struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func run(w world, name string, check func(world)) (outcome result) {
	outcome = result{Check: name, OK: true}
	defer func() {
		if cause := recover(); cause != nil {
			outcome = result{Check: name, Error: fmt.Sprint(cause)}
		}
	}()
	check(w)
	return outcome
}

func main() {
	server, err := url.Parse(os.Args[1])
	must(err)
	versions := []struct {
		name    string
		connect connector
	}{{"3.1.1", connect3}, {"5.0", connect5}}
	checks := []struct {
		name   string
		only5  bool
		action func(world)
	}{
		{"qos-0", false, roundTrip(0)},
		{"qos-1", false, roundTrip(1)},
		{"qos-2", false, roundTrip(2)},
		{"wildcards", false, wildcards},
		{"retained", false, retained},
		{"will", false, will},
		{"session", false, session},
		{"shared", false, shared},
		{"wrong-password", false, wrongPassword},
		{"large", false, large},
		{"properties", true, properties},
		{"expiry", true, expiry},
		{"no-local", true, noLocal},
	}
	out := json.NewEncoder(os.Stdout)
	for _, version := range versions {
		for _, each := range checks {
			if each.only5 && version.name != "5.0" {
				continue
			}
			w := world{server: server, connect: version.connect}
			must(out.Encode(run(w, each.name+" "+version.name, each.action)))
		}
	}
}
