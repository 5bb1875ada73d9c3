// A shelf that orders what it lacks: an MQTT 5 device.
//
//	go run . 127.0.0.1:1883
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

func main() {
	within, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	connection, err := net.Dial("tcp", os.Args[1])
	check(err)
	answers := make(chan *paho.Publish, 1)
	client := paho.NewClient(paho.ClientConfig{
		Conn: connection,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(got paho.PublishReceived) (bool, error) {
				answers <- got.Packet
				return true, nil
			},
		},
	})
	_, err = client.Connect(within, &paho.Connect{ClientID: "shelf-7", CleanStart: true, KeepAlive: 30})
	check(err)
	_, err = client.Subscribe(within, &paho.Subscribe{
		Subscriptions: []paho.SubscribeOptions{{Topic: "shelves/7/answers", QoS: 1}},
	})
	check(err)

	expiry := uint32(10)
	_, err = client.Publish(within, &paho.Publish{
		QoS:     1,
		Topic:   "$rpc/shop.v1.Orders/Place",
		Payload: []byte(`{"sku":"cup","count":1}`),
		Properties: &paho.PublishProperties{
			ContentType:     "application/json",
			ResponseTopic:   "shelves/7/answers",
			CorrelationData: []byte("1"),
			MessageExpiry:   &expiry,
		},
	})
	check(err)
	select {
	case answer := <-answers:
		fmt.Println(answer.Properties.User.Get("grpc-status"), string(answer.Payload))
	case <-within.Done():
		log.Fatal("no answer")
	}
	check(client.Disconnect(&paho.Disconnect{}))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
