package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

var franzChecks = []check{
	{"group", func(b *bench) { franzGroup(b) }},
	{"group-consumer", func(b *bench) { franzGroup(b, kgo.ServerSideBalancer()) }},
	{"group-share", franzShare},
	{"produce-consume", franzProduceConsume},
	{"codecs", franzCodecs},
	{"idempotent", franzIdempotent},
	{"seek", franzSeek},
	{"transaction", franzTransaction},
	{"transaction-offsets", franzTransactionOffsets},
	{"admin-topics", franzTopics},
	{"admin-configs", franzConfigs},
	{"admin-groups", franzGroups},
	{"delete-records", franzDeleteRecords},
	{"sasl-plain", func(b *bench) { franzLogin(b, plain.Auth{User: b.user, Pass: b.password}.AsMechanism(), false) }},
	{"sasl-scram", func(b *bench) {
		auth := scram.Auth{User: b.user, Pass: b.password}
		franzLogin(b, auth.AsSha256Mechanism(), false)
		franzLogin(b, auth.AsSha512Mechanism(), false)
	}},
	{"tls", func(b *bench) { franzLogin(b, plain.Auth{User: b.user, Pass: b.password}.AsMechanism(), true) }},
	{"wrong-password", franzWrongPassword},
}

func (b *bench) client(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.plain),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(200 * time.Millisecond),
		kgo.MetadataMinAge(100 * time.Millisecond),
	}, options...)...)
	must(err)
	b.atEnd(client.Close)
	return client
}

func (b *bench) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	b.atEnd(cancel)
	return ctx
}

func (b *bench) topic(partitions int32) string {
	admin := kadm.NewClient(b.client())
	topic := name()
	// The checks write times long past, which retention would take away.
	forever := "-1"
	configs := map[string]*string{"retention.ms": &forever}
	_, err := admin.CreateTopic(b.context(), partitions, 1, configs, topic)
	must(err)
	b.atEnd(func() { admin.DeleteTopics(context.Background(), topic) })
	until(topic, func() bool {
		listed, err := admin.ListTopics(b.context(), topic)
		must(err)
		return listed.Has(topic)
	})
	return topic
}

func (b *bench) produce(client *kgo.Client, topic string, values ...string) {
	for _, value := range values {
		record := &kgo.Record{Topic: topic, Value: []byte(value)}
		must(client.ProduceSync(b.context(), record).FirstErr())
	}
}

func (b *bench) take(client *kgo.Client, count int) []*kgo.Record {
	var records []*kgo.Record
	until(fmt.Sprintf("%d records", count), func() bool {
		ctx, cancel := context.WithTimeout(b.context(), 100*time.Millisecond)
		defer cancel()
		fetches := client.PollFetches(ctx)
		for _, fault := range fetches.Errors() {
			if !errors.Is(fault.Err, context.DeadlineExceeded) {
				panic(fault.Err)
			}
		}
		records = append(records, fetches.Records()...)
		return len(records) >= count
	})
	return records
}

func (b *bench) read(topic string, count int, options ...kgo.Opt) []*kgo.Record {
	return b.take(b.client(append(options, kgo.ConsumeTopics(topic))...), count)
}

func values(records []*kgo.Record) []string {
	var all []string
	for _, record := range records {
		all = append(all, string(record.Value))
	}
	return all
}

func franzProduceConsume(b *bench) {
	topic := b.topic(2)
	at := time.UnixMilli(1_700_000_000_000)
	sent := &kgo.Record{
		Topic: topic, Partition: 1, Key: []byte("key"), Value: []byte("välue ✓"), Timestamp: at,
		Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("one")}, {Key: "h", Value: []byte("two")}, {Key: "none"}},
	}
	client := b.client()
	must(client.ProduceSync(b.context(), sent).FirstErr())
	must(client.ProduceSync(b.context(), &kgo.Record{Topic: topic, Partition: 1}).FirstErr())
	seen := b.read(topic, 2)
	same(seen[0].Headers, sent.Headers)
	same(seen[0].Timestamp.UnixMilli(), at.UnixMilli())
	same([]string{string(seen[0].Key), string(seen[0].Value)}, []string{"key", "välue ✓"})
	same([]any{seen[1].Key == nil, seen[1].Value == nil, seen[1].Offset}, []any{true, true, int64(1)})
}

func franzCodecs(b *bench) {
	topic := b.topic(1)
	var wanted []string
	for _, codec := range []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	} {
		client := b.client(kgo.ProducerBatchCompression(codec))
		var records []*kgo.Record
		for index := range 300 {
			value := strings.Repeat(" ", 100) + strconv.Itoa(index)
			wanted = append(wanted, value)
			records = append(records, &kgo.Record{Topic: topic, Value: []byte(value)})
		}
		must(client.ProduceSync(b.context(), records...).FirstErr())
	}
	same(values(b.read(topic, len(wanted))), wanted)
}

func franzIdempotent(b *bench) {
	topic := b.topic(1)
	client := b.client(kgo.MaxBufferedRecords(50))
	var records []*kgo.Record
	for index := range 500 {
		records = append(records, &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(index))})
	}
	must(client.ProduceSync(b.context(), records...).FirstErr())
	id, _, err := client.ProducerID(b.context())
	must(err)
	for index, record := range b.read(topic, 500) {
		same([]any{record.Offset, string(record.Value), record.ProducerID}, []any{int64(index), strconv.Itoa(index), id})
	}
}

func franzSeek(b *bench) {
	topic := b.topic(1)
	client := b.client()
	for index := range 10 {
		record := &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(index)), Timestamp: time.UnixMilli(int64(index) * 1_000)}
		must(client.ProduceSync(b.context(), record).FirstErr())
	}
	first := func(offset kgo.Offset) string {
		partitions := map[string]map[int32]kgo.Offset{topic: {0: offset}}
		return string(b.take(b.client(kgo.ConsumePartitions(partitions)), 1)[0].Value)
	}
	same(first(kgo.NewOffset().At(7)), "7")
	same(first(kgo.NewOffset().AtEnd().Relative(-2)), "8")
	same(first(kgo.NewOffset().AfterMilli(4_500)), "5")
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(b.context(), topic)
	must(err)
	end, _ := ends.Lookup(topic, 0)
	same(end.Offset, int64(10))
	newest, err := admin.ListMaxTimestampOffsets(b.context(), topic)
	must(err)
	at, _ := newest.Lookup(topic, 0)
	same(at.Timestamp, int64(9_000))
}

func franzGroup(b *bench, options ...kgo.Opt) {
	const partitions, perPartition = 4, 10
	topic, group := b.topic(partitions), name()
	options = append(options, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.DisableAutoCommit(), kgo.HeartbeatInterval(200*time.Millisecond))
	members := []*kgo.Client{b.client(options...), b.client(options...)}
	seen := map[string]int{}
	poll := func() {
		for _, member := range members {
			ctx, cancel := context.WithTimeout(b.context(), 30*time.Millisecond)
			for _, record := range member.PollFetches(ctx).Records() {
				seen[string(record.Value)]++
			}
			cancel()
		}
	}
	admin := kadm.NewClient(b.client())
	assigned := func() []int {
		var counts []int
		if described, err := admin.DescribeConsumerGroups(b.context(), group); err == nil {
			for _, member := range described[group].Members {
				count := 0
				for _, partitions := range member.Assignment {
					count += len(partitions)
				}
				counts = append(counts, count)
			}
			if len(counts) > 0 {
				return counts
			}
		}
		described, err := admin.DescribeGroups(b.context(), group)
		must(err)
		for _, member := range described[group].Members {
			if assignment, ok := member.Assigned.AsConsumer(); ok {
				count := 0
				for _, topic := range assignment.Topics {
					count += len(topic.Partitions)
				}
				counts = append(counts, count)
			}
		}
		return counts
	}
	until("two members of two partitions", func() bool {
		poll()
		return slices.Equal(assigned(), []int{2, 2})
	})
	send := func(from, to int) {
		for index := from; index < to; index++ {
			record := &kgo.Record{Topic: topic, Partition: int32(index % partitions), Value: []byte(strconv.Itoa(index))}
			must(b.client().ProduceSync(b.context(), record).FirstErr())
		}
	}
	send(0, partitions*perPartition)
	until("all of the first", func() bool {
		poll()
		return len(seen) == partitions*perPartition
	})
	for _, member := range members {
		must(member.CommitUncommittedOffsets(b.context()))
	}
	members[0].Close()
	members = members[1:]
	until("one member of four partitions", func() bool {
		poll()
		return slices.Equal(assigned(), []int{4})
	})
	send(partitions*perPartition, partitions*perPartition+partitions)
	until("all of the second", func() bool {
		poll()
		return len(seen) == partitions*perPartition+partitions
	})
	for value, count := range seen {
		if count != 1 {
			fail("%s came %d times", value, count)
		}
	}
	must(members[0].CommitUncommittedOffsets(b.context()))
	lags, err := admin.Lag(b.context(), group)
	must(err)
	same(lags[group].Lag.Total(), int64(0))
}

func franzShare(b *bench) {
	topic, group := b.topic(1), name()
	client := b.client()
	earliest := "earliest"
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value = "share.auto.offset.reset", &earliest
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	resource.Configs = append(resource.Configs, config)
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	request.Resources = append(request.Resources, resource)
	answer, err := request.RequestWith(b.context(), client)
	must(err)
	must(kerr.ErrorForCode(answer.Resources[0].ErrorCode))
	b.produce(client, topic, "a", "b", "c")
	consumer := b.client(kgo.ShareGroup(group), kgo.ConsumeTopics(topic))
	accepted := []string{}
	until("every record", func() bool {
		ctx, cancel := context.WithTimeout(b.context(), 100*time.Millisecond)
		defer cancel()
		for _, record := range consumer.PollFetches(ctx).Records() {
			if string(record.Value) == "b" && record.DeliveryCount() == 1 {
				record.Ack(kgo.AckRelease)
				continue
			}
			record.Ack(kgo.AckAccept)
			accepted = append(accepted, fmt.Sprint(string(record.Value), record.DeliveryCount()))
		}
		must(consumer.FlushAcks(b.context()))
		return len(accepted) >= 3
	})
	slices.Sort(accepted)
	same(accepted, []string{"a1", "b2", "c1"})
}

func franzTransaction(b *bench) {
	topic, id := b.topic(1), name()
	client := b.client(kgo.TransactionalID(id))
	for round, how := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		must(client.BeginTransaction())
		b.produce(client, topic, strconv.Itoa(round))
		must(client.EndTransaction(b.context(), how))
	}
	committed := kgo.FetchIsolationLevel(kgo.ReadCommitted())
	same(values(b.read(topic, 2, committed)), []string{"0", "2"})
	same(values(b.read(topic, 3)), []string{"0", "1", "2"})
	// A second producer of that name fences the first.
	must(client.BeginTransaction())
	other := b.client(kgo.TransactionalID(id))
	must(other.BeginTransaction())
	b.produce(other, topic, "other")
	record := &kgo.Record{Topic: topic, Value: []byte("fenced")}
	if client.ProduceSync(b.context(), record).FirstErr() == nil {
		fail("a fenced producer was not refused")
	}
	must(other.EndTransaction(b.context(), kgo.TryCommit))
	same(values(b.read(topic, 3, committed)), []string{"0", "2", "other"})
}

func franzTransactionOffsets(b *bench) {
	source, to, group := b.topic(1), b.topic(1), name()
	b.produce(b.client(), source, "a", "b", "c")
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(b.plain),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.TransactionalID(name()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(source),
	)
	must(err)
	b.atEnd(session.Close)
	count := 0
	until("three records", func() bool {
		fetches := session.PollFetches(b.context())
		must(session.Begin())
		for _, record := range fetches.Records() {
			session.Produce(b.context(), &kgo.Record{Topic: to, Value: record.Value}, nil)
			count++
		}
		ended, err := session.End(b.context(), kgo.TryCommit)
		must(err)
		same(ended, true)
		return count == 3
	})
	same(values(b.read(to, 3, kgo.FetchIsolationLevel(kgo.ReadCommitted()))), []string{"a", "b", "c"})
	offsets, err := kadm.NewClient(b.client()).FetchOffsets(b.context(), group)
	must(err)
	at, _ := offsets.Lookup(source, 0)
	same(at.At, int64(3))
}

func franzTopics(b *bench) {
	admin := kadm.NewClient(b.client())
	topic := b.topic(1)
	_, err := admin.CreateTopic(b.context(), 1, 1, nil, topic)
	same(errors.Is(err, kerr.TopicAlreadyExists), true)
	_, err = admin.CreateTopic(b.context(), 1, 1, nil, "a b")
	same(errors.Is(err, kerr.InvalidTopicException), true)
	updated, err := admin.UpdatePartitions(b.context(), 3, topic)
	must(err)
	must(updated.Error())
	until("three partitions", func() bool {
		listed, err := admin.ListTopics(b.context(), topic)
		must(err)
		return len(listed[topic].Partitions) == 3
	})
	_, err = admin.DeleteTopic(b.context(), topic)
	must(err)
	until("no topic", func() bool {
		listed, err := admin.ListTopics(b.context(), topic)
		must(err)
		return !listed.Has(topic)
	})
	cluster, err := admin.Metadata(b.context(), topic)
	must(err)
	same([]any{len(cluster.Brokers), cluster.Controller}, []any{1, cluster.Brokers[0].NodeID})
}

func franzConfigs(b *bench) {
	admin := kadm.NewClient(b.client())
	topic := b.topic(1)
	value := "123456789"
	altered, err := admin.AlterTopicConfigs(b.context(), []kadm.AlterConfig{{Name: "retention.ms", Value: &value}}, topic)
	must(err)
	must(altered[0].Err)
	until("the altered config", func() bool {
		described, err := admin.DescribeTopicConfigs(b.context(), topic)
		must(err)
		one, err := described.On(topic, nil)
		must(err)
		at := slices.IndexFunc(one.Configs, func(config kadm.Config) bool { return config.Key == "retention.ms" })
		return one.Configs[at].MaybeValue() == value
	})
}

func franzGroups(b *bench) {
	admin := kadm.NewClient(b.client())
	topic, group := b.topic(2), name()
	b.produce(b.client(), topic, "a", "b")
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: 1, LeaderEpoch: -1, Metadata: "here"})
	offsets.AddOffset(topic, 1, 0, -1)
	must(admin.CommitAllOffsets(b.context(), group, offsets))
	fetched, err := admin.FetchOffsets(b.context(), group)
	must(err)
	at, _ := fetched.Lookup(topic, 0)
	same([]any{at.At, at.Metadata}, []any{int64(1), "here"})
	listed, err := admin.ListGroups(b.context())
	must(err)
	same(listed[group].State, "Empty")
	_, err = admin.DeleteOffsets(b.context(), group, kadm.TopicsSet{topic: {0: {}}})
	must(err)
	fetched, err = admin.FetchOffsets(b.context(), group)
	must(err)
	same([]int{len(fetched), len(fetched[topic])}, []int{1, 1})
	deleted, err := admin.DeleteGroup(b.context(), group)
	must(err)
	must(deleted.Err)
	_, err = admin.DeleteGroup(b.context(), group)
	same(errors.Is(err, kerr.GroupIDNotFound), true)
}

func franzDeleteRecords(b *bench) {
	admin := kadm.NewClient(b.client())
	topic := b.topic(1)
	b.produce(b.client(), topic, "a", "b", "c")
	var before kadm.Offsets
	before.AddOffset(topic, 0, 2, -1)
	deleted, err := admin.DeleteRecords(b.context(), before)
	must(err)
	must(deleted.Error())
	same(values(b.read(topic, 1)), []string{"c"})
}

func franzLogin(b *bench, mechanism sasl.Mechanism, encrypted bool) {
	topic := b.topic(1)
	options := []kgo.Opt{kgo.SeedBrokers(b.sasl), kgo.SASL(mechanism)}
	if encrypted {
		options = append(options, kgo.SeedBrokers(b.target.tls), kgo.DialTLSConfig(b.tlsConfig()))
	}
	b.produce(b.client(options...), topic, "secret")
	same(values(b.read(topic, 1, options...)), []string{"secret"})
}

func franzWrongPassword(b *bench) {
	mechanism := plain.Auth{User: b.user, Pass: "wrong"}.AsMechanism()
	err := b.client(kgo.SeedBrokers(b.sasl), kgo.SASL(mechanism)).Ping(b.context())
	same(errors.Is(err, kerr.SaslAuthenticationFailed), true)
}
