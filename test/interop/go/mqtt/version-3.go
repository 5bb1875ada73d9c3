package main

import (
	"net"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

type client3 struct {
	mqtt.Client
	conn     net.Conn
	messages chan message
	present  bool
}

func connect3(server *url.URL, o options) (client, error) {
	c := &client3{messages: make(chan message, 1000)}
	set := mqtt.NewClientOptions().
		AddBroker("tcp://" + server.Host).
		SetClientID(o.id).
		SetProtocolVersion(4).
		SetCleanSession(!o.kept).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetConnectTimeout(wait).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			c.messages <- message{topic: m.Topic(), body: m.Payload(), qos: m.Qos(), retain: m.Retained()}
		}).
		SetCustomOpenConnectionFn(func(uri *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
			conn, err := net.DialTimeout("tcp", uri.Host, wait)
			c.conn = conn
			return conn, err
		})
	if o.password != "" {
		set.SetUsername("guest").SetPassword(o.password)
	}
	if o.will != "" {
		set.SetWill(o.will, "gone", 1, false)
	}
	c.Client = mqtt.NewClient(set)
	token := c.Connect().(*mqtt.ConnectToken)
	if err := finish(token); err != nil {
		return nil, err
	}
	c.present = token.SessionPresent()
	return c, nil
}

func finish(token mqtt.Token) error {
	if !token.WaitTimeout(wait) {
		fail("not answered in time")
	}
	return token.Error()
}

func (c *client3) subscribe(filter string, qos byte, _ bool) byte {
	token := c.Subscribe(filter, qos, nil).(*mqtt.SubscribeToken)
	must(finish(token))
	return token.Result()[filter]
}

func (c *client3) publish(m message) {
	must(finish(c.Publish(m.topic, m.qos, m.retain, m.body)))
}

func (c *client3) inbox() <-chan message { return c.messages }

func (c *client3) sessionPresent() bool { return c.present }

func (c *client3) close() { c.Disconnect(uint(quiet / time.Millisecond)) }

func (c *client3) vanish() { must(c.conn.Close()) }
