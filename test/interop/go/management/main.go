// Manages a broker with rabbit-hole, RabbitMQ's management client in Go: one JSON line a check.
//
//	management-driver HTTP-URL
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"time"

	hole "github.com/michaelklishin/rabbit-hole/v2"
	amqp "github.com/rabbitmq/amqp091-go"
)

const wait = 30 * time.Second

type result struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func must[Value any](value Value, err error) Value {
	if err != nil {
		panic(err)
	}
	return value
}

func status(wanted int, response *http.Response, err error) {
	if err != nil {
		panic(err)
	}
	same(response.StatusCode, wanted)
}

func same(seen, wanted any) {
	if !reflect.DeepEqual(seen, wanted) {
		panic(fmt.Errorf("%#v was expected, got %#v", wanted, seen))
	}
}

// until asks again until the answer is yes.
func until(ask func() bool) {
	for end := time.Now().Add(wait); !ask(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			panic(fmt.Errorf("not within %s", wait))
		}
	}
}

func main() {
	client := must(hole.NewClient(os.Args[1], "guest", "guest"))
	port := int(must(client.ProtocolPorts())["amqp"])
	broker := fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d", port)
	out := json.NewEncoder(os.Stdout)
	check := func(name string, work func()) {
		entry := result{Check: name, OK: true}
		func() {
			defer func() {
				if fault := recover(); fault != nil {
					entry.OK, entry.Error = false, fmt.Sprint(fault)
				}
			}()
			work()
		}()
		_ = out.Encode(entry)
	}
	check("overview", func() { overview(client) })
	check("vhosts", func() { vhosts(client) })
	check("users", func() { users(client) })
	check("exchanges", func() { exchanges(client) })
	check("queues", func() { queues(client) })
	check("bindings", func() { bindings(client) })
	check("policies", func() { policies(client) })
	check("parameters", func() { parameters(client) })
	check("connections", func() { connections(client, broker) })
	check("definitions", func() { definitions(client) })
	check("health", func() { health(client, port) })
}

func overview(client *hole.Client) {
	view := must(client.Overview())
	same(view.RabbitMQVersion, "4.0.5")
	nodes := must(client.ListNodes())
	same(len(nodes), 1)
	same(nodes[0].IsRunning, true)
	same(must(client.GetNode(nodes[0].Name)).Name, nodes[0].Name)
	same(must(client.Whoami()).Name, "guest")
	response, err := client.SetClusterName(hole.ClusterName{Name: "north"})
	status(204, response, err)
	same(must(client.GetClusterName()).Name, "north")
	if len(must(client.ListFeatureFlags())) == 0 {
		panic("no feature flags")
	}
	ports := must(client.ProtocolPorts())
	if ports["amqp"] == 0 {
		panic(fmt.Errorf("no port of amqp in %v", ports))
	}
}

func vhosts(client *hole.Client) {
	settings := hole.VhostSettings{Description: "for tests", Tags: hole.VhostTags{"a", "b"}}
	response, err := client.PutVhost("hole/1", settings)
	status(201, response, err)
	view := must(client.GetVhost("hole/1"))
	same(view.Description, "for tests")
	same(view.Tags, hole.VhostTags{"a", "b"})
	same(len(must(client.ListVhosts())), 2)
	response, err = client.PutVhostLimits("hole/1", hole.VhostLimitsValues{"max-queues": 7})
	status(204, response, err)
	same(must(client.GetVhostLimits("hole/1"))[0].Value["max-queues"], 7)
	response, err = client.DeleteVhostLimits("hole/1", hole.VhostLimits{"max-queues"})
	status(204, response, err)
	response, err = client.DeleteVhost("hole/1")
	status(204, response, err)
	if _, err = client.GetVhost("hole/1"); err == nil {
		panic("the virtual host is still there")
	}
}

func users(client *hole.Client) {
	settings := hole.UserSettings{Name: "hole", Password: "s3cret", Tags: hole.UserTags{"management"}}
	response, err := client.PutUser("hole", settings)
	status(201, response, err)
	same(must(client.GetUser("hole")).Tags, hole.UserTags{"management"})
	hash := hole.Base64EncodedSaltedPasswordHashSHA256("by-hash")
	hashed := hole.UserSettings{PasswordHash: hash, HashingAlgorithm: hole.HashingAlgorithmSHA256, Tags: hole.UserTags{"administrator"}}
	response, err = client.PutUser("hashed", hashed)
	status(201, response, err)
	all := hole.Permissions{Configure: ".*", Write: ".*", Read: "^a"}
	response, err = client.UpdatePermissionsIn("/", "hole", all)
	status(201, response, err)
	same(must(client.GetPermissionsIn("/", "hole")).Read, "^a")
	topic := hole.TopicPermissions{Exchange: "amq.topic", Write: "^a", Read: ".*"}
	response, err = client.UpdateTopicPermissionsIn("/", "hole", topic)
	status(201, response, err)
	same(must(client.GetTopicPermissionsIn("/", "hole"))[0].Write, "^a")
	response, err = client.ClearTopicPermissionsIn("/", "hole")
	status(204, response, err)
	response, err = client.PutUserLimits("hole", hole.UserLimitsValues{"max-channels": 9})
	status(204, response, err)
	same(must(client.GetUserLimits("hole"))[0].Value["max-channels"], 9)
	response, err = client.ClearPermissionsIn("/", "hole")
	status(204, response, err)
	response, err = client.DeleteUser("hole")
	status(204, response, err)
}

func exchanges(client *hole.Client) {
	settings := hole.ExchangeSettings{Type: "topic", Durable: true, Arguments: map[string]any{"alternate-exchange": "amq.fanout"}}
	response, err := client.DeclareExchange("/", "hole.x", settings)
	status(201, response, err)
	view := must(client.GetExchange("/", "hole.x"))
	same(view.Type, "topic")
	same(view.Arguments["alternate-exchange"], "amq.fanout")
	response, err = client.DeleteExchange("/", "hole.x")
	status(204, response, err)
}

func queues(client *hole.Client) {
	for _, kind := range []string{"classic", "quorum", "stream"} {
		settings := hole.QueueSettings{Durable: true, Arguments: map[string]any{"x-queue-type": kind}}
		response, err := client.DeclareQueue("/", "hole "+kind, settings)
		status(201, response, err)
		view := must(client.GetQueue("/", "hole "+kind))
		same(view.Type, kind)
		same(view.Durable, true)
	}
	paged := must(client.PagedListQueuesWithParameters(url.Values{"page": {"1"}, "page_size": {"2"}, "name": {"hole"}}))
	same(len(paged.Items), 2)
	same(paged.FilteredCount, 3)
	response, err := client.PurgeQueue("/", "hole classic")
	status(204, response, err)
	for _, kind := range []string{"classic", "quorum", "stream"} {
		response, err = client.DeleteQueue("/", "hole "+kind)
		status(204, response, err)
	}
}

func bindings(client *hole.Client) {
	response, err := client.DeclareQueue("/", "bound", hole.QueueSettings{Durable: true})
	status(201, response, err)
	for _, key := range []string{"", "a.b", "with space/slash"} {
		info := hole.BindingInfo{Source: "amq.topic", Destination: "bound", DestinationType: "queue", RoutingKey: key, Arguments: map[string]any{"n": 1}}
		response, err = client.DeclareBinding("/", info)
		status(201, response, err)
	}
	between := must(client.ListQueueBindingsBetween("/", "amq.topic", "bound"))
	same(len(between), 3)
	same(len(must(client.ListQueueBindings("/", "bound"))), 4)
	for _, info := range between {
		response, err = client.DeleteBinding("/", info)
		status(204, response, err)
	}
	same(len(must(client.ListExchangeBindingsWithSource("/", "amq.topic"))), 0)
	response, err = client.DeleteQueue("/", "bound")
	status(204, response, err)
}

func policies(client *hole.Client) {
	policy := hole.Policy{Pattern: "^p", ApplyTo: "queues", Priority: 3, Definition: hole.PolicyDefinition{"max-length": 10}}
	response, err := client.PutPolicy("/", "hole", policy)
	status(201, response, err)
	view := must(client.GetPolicy("/", "hole"))
	same(view.Priority, 3)
	same(view.ApplyTo, "queues")
	same(view.Definition["max-length"], float64(10))
	operator := hole.OperatorPolicy{Pattern: ".*", ApplyTo: "queues", Definition: hole.PolicyDefinition{"max-length": 99}}
	response, err = client.PutOperatorPolicy("/", "hole", operator)
	status(201, response, err)
	same(len(must(client.ListOperatorPoliciesIn("/"))), 1)
	response, err = client.DeleteOperatorPolicy("/", "hole")
	status(204, response, err)
	response, err = client.DeletePolicy("/", "hole")
	status(204, response, err)
	same(len(must(client.ListPolicies())), 0)
}

func parameters(client *hole.Client) {
	response, err := client.PutGlobalParameter("hole", map[string]any{"a": "b"})
	status(201, response, err)
	same(must(client.GetGlobalParameter("hole")).Value, map[string]any{"a": "b"})
	response, err = client.DeleteGlobalParameter("hole")
	status(204, response, err)
	same(len(must(client.ListRuntimeParameters())), 0)
}

func connections(client *hole.Client, broker string) {
	properties := amqp.Table{"connection_name": "held"}
	connection := must(amqp.DialConfig(broker, amqp.Config{Properties: properties}))
	closed := connection.NotifyClose(make(chan *amqp.Error, 1))
	channel := must(connection.Channel())
	must(channel.QueueDeclare("listened", false, false, false, false, nil))
	must(channel.Consume("listened", "tag", false, false, false, false, nil))
	until(func() bool { return len(must(client.ListConsumers())) == 1 })
	view := must(client.ListConnections())[0]
	same(view.ClientProperties["connection_name"], "held")
	same(must(client.GetConnection(view.Name)).Vhost, "/")
	same(len(must(client.ListVhostConnections("/"))), 1)
	open := must(client.ListChannels())[0]
	same(open.ConnectionDetails.Name, view.Name)
	same(must(client.GetChannel(open.Name)).Number, 1)
	same(must(client.ListConsumersIn("/"))[0].ConsumerTag, "tag")
	response, err := client.CloseConnection(view.Name)
	status(204, response, err)
	select {
	case reason := <-closed:
		same(reason.Code, 320)
	case <-time.After(wait):
		panic("the connection is still open")
	}
	response, err = client.DeleteQueue("/", "listened")
	status(204, response, err)
}

func definitions(client *hole.Client) {
	response, err := client.DeclareQueue("/", "kept", hole.QueueSettings{Durable: true})
	status(201, response, err)
	exported := must(client.ListDefinitions())
	same((*exported.Queues)[0].Name, "kept")
	response, err = client.DeleteQueue("/", "kept")
	status(204, response, err)
	queues := hole.ExportedDefinitions{Queues: exported.Queues}
	response, err = client.UploadDefinitions(&queues)
	status(204, response, err)
	same(must(client.GetQueue("/", "kept")).Durable, true)
}

func health(client *hole.Client, port int) {
	isOk(must(client.HealthCheckAlarms()).Status, true)
	isOk(must(client.HealthCheckLocalAlarms()).Status, true)
	isOk(must(client.HealthCheckVirtualHosts()).Status, true)
	isOk(must(client.HealthCheckNodeIsQuorumCritical()).Status, true)
	isOk(must(client.HealthCheckProtocolListener(hole.AMQP091)).Status, true)
	isOk(must(client.HealthCheckPortListener(uint(port))).Status, true)
	isOk(must(client.HealthCheckPortListener(1)).Status, false)
}

func isOk(status string, wanted bool) {
	same(status == "ok", wanted)
}
