// Asks a broker for the checks of test/interop/kafka-checks.ts, one JSON line each:
// `kafka franz-go URL` or `kafka sarama URL`.
package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"sync"
	"time"
)

const (
	wait = 30 * time.Second
	// Most of a check is waiting for heartbeats, so several wait at once.
	atOnce = 6
)

type check struct {
	name string
	run  func(*bench)
}

type target struct {
	plain, sasl, tls, caFile, user, password string
}

// bench is what a check works with; what it defers runs at its end, last first.
type bench struct {
	target
	ends []func()
}

type result struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
	MS    int64  `json:"ms"`
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

func until(what string, done func() bool) {
	for end := time.Now().Add(wait); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			fail("never came: %s", what)
		}
	}
}

func name() string {
	bytes := make([]byte, 6)
	_, err := rand.Read(bytes)
	must(err)
	return "ws-go-" + hex.EncodeToString(bytes)
}

func (b *bench) atEnd(end func()) {
	b.ends = append(b.ends, end)
}

func (t target) tlsConfig() *tls.Config {
	pem, err := os.ReadFile(t.caFile)
	must(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

func parse(text string) target {
	at, err := url.Parse(text)
	must(err)
	password, _ := at.User.Password()
	query := at.Query()
	return target{
		plain:    at.Host,
		sasl:     at.Hostname() + ":" + query.Get("sasl"),
		tls:      at.Hostname() + ":" + query.Get("tls"),
		caFile:   query.Get("ca"),
		user:     at.User.Username(),
		password: password,
	}
}

func run(to target, one check) (outcome result) {
	started := time.Now()
	defer func() {
		outcome = result{Check: one.name, OK: true, MS: time.Since(started).Milliseconds()}
		if cause := recover(); cause != nil {
			outcome.OK = false
			outcome.Error = fmt.Sprint(cause)
		}
	}()
	b := &bench{target: to}
	defer func() {
		for at := len(b.ends) - 1; at >= 0; at-- {
			b.ends[at]()
		}
	}()
	one.run(b)
	return outcome
}

func main() {
	checks := map[string][]check{"franz-go": franzChecks, "sarama": saramaChecks}[os.Args[1]]
	to := parse(os.Args[2])
	out := json.NewEncoder(os.Stdout)
	failed := false
	var printing sync.Mutex
	var running sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, one := range checks {
		if len(os.Args) > 3 && os.Args[3] != one.name {
			continue
		}
		slots <- struct{}{}
		running.Add(1)
		go func() {
			outcome := run(to, one)
			printing.Lock()
			failed = failed || !outcome.OK
			must(out.Encode(outcome))
			printing.Unlock()
			<-slots
			running.Done()
		}()
	}
	running.Wait()
	if failed {
		os.Exit(1)
	}
}
