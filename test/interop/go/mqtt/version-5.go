package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

const badUserNameOrPassword = 0x86

type client5 struct {
	*autopaho.ConnectionManager
	cancel   context.CancelFunc
	messages chan message
	present  bool
}

func connect5(server *url.URL, o options) (client, error) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &client5{cancel: cancel, messages: make(chan message, 1000)}
	up := make(chan bool, 1)
	refused := make(chan error, 1)
	config := autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{server},
		KeepAlive:                     30,
		CleanStartOnInitialConnection: !o.kept,
		// Longer than a check takes: whoever vanishes stays away.
		ReconnectBackoff: autopaho.NewConstantBackoff(time.Hour),
		ConnectTimeout:   wait,
		OnConnectionUp: func(_ *autopaho.ConnectionManager, connack *paho.Connack) {
			up <- connack.SessionPresent
		},
		OnConnectionDown: func() bool { return false },
		OnConnectError:   func(err error) { refused <- err },
		ClientConfig: paho.ClientConfig{
			ClientID: o.id,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){
				func(received paho.PublishReceived) (bool, error) {
					p := received.Packet
					c.messages <- message{p.Topic, p.Payload, p.QoS, p.Retain, p.Properties}
					return true, nil
				},
			},
		},
	}
	if o.kept {
		config.SessionExpiryInterval = 60
	}
	if o.password != "" {
		config.ConnectUsername, config.ConnectPassword = "guest", []byte(o.password)
	}
	if o.will != "" {
		config.WillMessage = &paho.WillMessage{Topic: o.will, Payload: []byte("gone"), QoS: 1}
	}
	manager, err := autopaho.NewConnection(ctx, config)
	must(err)
	c.ConnectionManager = manager
	select {
	case c.present = <-up:
		return c, nil
	case err := <-refused:
		cancel()
		var connack *autopaho.ConnackError
		if errors.As(err, &connack) && connack.ReasonCode == badUserNameOrPassword {
			// The library gives the code, and the text of the broker if it has one.
			return nil, fmt.Errorf("bad user name or password: %w", err)
		}
		return nil, err
	case <-time.After(wait):
		fail("not connected in time")
		return nil, nil
	}
}

func inTime() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), wait)
}

func (c *client5) subscribe(filter string, qos byte, noLocal bool) byte {
	ctx, done := inTime()
	defer done()
	one := paho.SubscribeOptions{Topic: filter, QoS: qos, NoLocal: noLocal}
	suback, err := c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{one}})
	must(err)
	return suback.Reasons[0]
}

func (c *client5) publish(m message) {
	ctx, done := inTime()
	defer done()
	_, err := c.Publish(ctx, &paho.Publish{
		Topic: m.topic, Payload: m.body, QoS: m.qos, Retain: m.retain, Properties: m.properties,
	})
	must(err)
}

func (c *client5) inbox() <-chan message { return c.messages }

func (c *client5) sessionPresent() bool { return c.present }

func (c *client5) close() {
	ctx, done := inTime()
	defer done()
	must(c.Disconnect(ctx))
	c.cancel()
}

func (c *client5) vanish() { c.TerminateConnectionForTest() }
