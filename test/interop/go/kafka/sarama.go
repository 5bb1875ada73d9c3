package main

import (
	"context"
	"errors"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

var saramaChecks = []check{
	{"group", saramaGroup},
	{"produce-consume", saramaProduceConsume},
	{"codecs", saramaCodecs},
	{"idempotent", saramaIdempotent},
	{"seek", saramaSeek},
	{"transaction", saramaTransaction},
	{"admin-topics", saramaTopics},
	{"admin-configs", saramaConfigs},
	{"admin-groups", saramaGroups},
	{"delete-records", saramaDeleteRecords},
	{"sasl-plain", func(b *bench) { saramaLogin(b, true) }},
	{"wrong-password", func(b *bench) { saramaLogin(b, false) }},
}

func saramaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V3_6_0_0
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	config.Consumer.Return.Errors = true
	return config
}

func (b *bench) syncProducer(config *sarama.Config) sarama.SyncProducer {
	producer, err := sarama.NewSyncProducer([]string{b.plain}, config)
	must(err)
	b.atEnd(func() { producer.Close() })
	return producer
}

func (b *bench) clusterAdmin() sarama.ClusterAdmin {
	admin, err := sarama.NewClusterAdmin([]string{b.plain}, saramaConfig())
	must(err)
	b.atEnd(func() { admin.Close() })
	return admin
}

func send(producer sarama.SyncProducer, topic string, values ...string) {
	for _, value := range values {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)})
		must(err)
	}
}

func (b *bench) readFrom(topic string, partition int32, offset int64, count int, config *sarama.Config) []*sarama.ConsumerMessage {
	consumer, err := sarama.NewConsumer([]string{b.plain}, config)
	must(err)
	b.atEnd(func() { consumer.Close() })
	reader, err := consumer.ConsumePartition(topic, partition, offset)
	must(err)
	b.atEnd(func() { reader.Close() })
	var messages []*sarama.ConsumerMessage
	timeout := time.After(wait)
	for len(messages) < count {
		select {
		case message := <-reader.Messages():
			messages = append(messages, message)
		case err := <-reader.Errors():
			panic(err)
		case <-timeout:
			fail("%d messages came of %d", len(messages), count)
		}
	}
	return messages
}

func bodies(messages []*sarama.ConsumerMessage) []string {
	var all []string
	for _, message := range messages {
		all = append(all, string(message.Value))
	}
	return all
}

func saramaProduceConsume(b *bench) {
	topic := b.topic(2)
	producer := b.syncProducer(saramaConfig())
	at := time.UnixMilli(1_700_000_000_000)
	partition, offset, err := producer.SendMessage(&sarama.ProducerMessage{
		Topic: topic, Partition: 1, Key: sarama.StringEncoder("key"), Value: sarama.StringEncoder("välue ✓"), Timestamp: at,
		Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte("one")}},
	})
	must(err)
	same([]any{partition, offset}, []any{int32(1), int64(0)})
	seen := b.readFrom(topic, 1, sarama.OffsetOldest, 1, saramaConfig())[0]
	same([]string{string(seen.Key), string(seen.Value)}, []string{"key", "välue ✓"})
	same(seen.Timestamp.UnixMilli(), at.UnixMilli())
	same(string(seen.Headers[0].Key)+string(seen.Headers[0].Value), "hone")
}

func saramaCodecs(b *bench) {
	topic := b.topic(1)
	var wanted []string
	for _, codec := range []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD,
	} {
		config := saramaConfig()
		config.Producer.Compression = codec
		value := codec.String() + strings.Repeat(" ", 2_000)
		wanted = append(wanted, value)
		send(b.syncProducer(config), topic, value)
	}
	same(bodies(b.readFrom(topic, 0, sarama.OffsetOldest, len(wanted), saramaConfig())), wanted)
}

func saramaIdempotent(b *bench) {
	topic := b.topic(1)
	config := saramaConfig()
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	var messages []*sarama.ProducerMessage
	for index := range 200 {
		messages = append(messages, &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(strconv.Itoa(index))})
	}
	must(b.syncProducer(config).SendMessages(messages))
	for index, message := range b.readFrom(topic, 0, sarama.OffsetOldest, 200, saramaConfig()) {
		same([]any{message.Offset, string(message.Value)}, []any{int64(index), strconv.Itoa(index)})
	}
}

func saramaSeek(b *bench) {
	topic := b.topic(1)
	producer := b.syncProducer(saramaConfig())
	for index := range 10 {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{
			Topic: topic, Value: sarama.StringEncoder(strconv.Itoa(index)), Timestamp: time.UnixMilli(int64(index) * 1_000),
		})
		must(err)
	}
	same(bodies(b.readFrom(topic, 0, 7, 1, saramaConfig())), []string{"7"})
	client, err := sarama.NewClient([]string{b.plain}, saramaConfig())
	must(err)
	defer client.Close()
	for timestamp, wanted := range map[int64]int64{4_500: 5, sarama.OffsetNewest: 10, sarama.OffsetOldest: 0} {
		offset, err := client.GetOffset(topic, 0, timestamp)
		must(err)
		same(offset, wanted)
	}
}

// saramaMember gathers what the members of a group get, by claim.
type saramaMember struct {
	mutex  *sync.Mutex
	seen   map[string]int
	claims *[]int
	own    int
}

func (m *saramaMember) Setup(session sarama.ConsumerGroupSession) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	count := 0
	for _, partitions := range session.Claims() {
		count += len(partitions)
	}
	(*m.claims)[m.own] = count
	return nil
}

func (m *saramaMember) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *saramaMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		m.mutex.Lock()
		m.seen[string(message.Value)]++
		m.mutex.Unlock()
		session.MarkMessage(message, "")
		session.Commit()
	}
	return nil
}

func saramaGroup(b *bench) {
	topic, group := b.topic(4), name()
	var mutex sync.Mutex
	seen := map[string]int{}
	claims := make([]int, 2)
	stops := make([]func(), 2)
	for own := range claims {
		member, err := sarama.NewConsumerGroup([]string{b.plain}, group, saramaConfig())
		must(err)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for ctx.Err() == nil {
				handler := &saramaMember{mutex: &mutex, seen: seen, claims: &claims, own: own}
				if member.Consume(ctx, []string{topic}, handler) != nil {
					return
				}
			}
		}()
		stops[own] = func() {
			cancel()
			<-ended
			member.Close()
		}
		b.atEnd(stops[own])
	}
	locked := func(what string, condition func() bool) {
		until(what, func() bool {
			mutex.Lock()
			defer mutex.Unlock()
			return condition()
		})
	}
	locked("two partitions each", func() bool { return claims[0] == 2 && claims[1] == 2 })
	producer := b.syncProducer(saramaConfig())
	for index := range 20 {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{
			Topic: topic, Partition: int32(index % 4), Value: sarama.StringEncoder(strconv.Itoa(index)),
		})
		must(err)
	}
	locked("twenty messages", func() bool { return len(seen) == 20 })
	stops[0]()
	locked("four partitions for the other", func() bool { return claims[1] == 4 })
	send(producer, topic, "last")
	locked("the last message", func() bool { return seen["last"] == 1 })
	for value, count := range seen {
		if count != 1 {
			fail("%s came %d times", value, count)
		}
	}
}

func saramaTransaction(b *bench) {
	topic := b.topic(1)
	config := saramaConfig()
	config.Producer.Idempotent = true
	config.Producer.Transaction.ID = name()
	config.Net.MaxOpenRequests = 1
	producer := b.syncProducer(config)
	for round := range 3 {
		must(producer.BeginTxn())
		send(producer, topic, strconv.Itoa(round))
		if round == 1 {
			must(producer.AbortTxn())
		} else {
			must(producer.CommitTxn())
		}
	}
	committed := saramaConfig()
	committed.Consumer.IsolationLevel = sarama.ReadCommitted
	same(bodies(b.readFrom(topic, 0, sarama.OffsetOldest, 2, committed)), []string{"0", "2"})
}

func saramaTopics(b *bench) {
	admin := b.clusterAdmin()
	topic := b.topic(1)
	err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
	same(errors.Is(err, sarama.ErrTopicAlreadyExists), true)
	must(admin.CreatePartitions(topic, 3, nil, false))
	until("three partitions", func() bool {
		described, err := admin.DescribeTopics([]string{topic})
		must(err)
		return len(described[0].Partitions) == 3
	})
	listed, err := admin.ListTopics()
	must(err)
	same(listed[topic].NumPartitions, int32(3))
	must(admin.DeleteTopic(topic))
	brokers, controller, err := admin.DescribeCluster()
	must(err)
	same(brokers[0].ID(), controller)
}

func saramaConfigs(b *bench) {
	admin := b.clusterAdmin()
	topic := b.topic(1)
	value := "123456789"
	must(admin.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value},
	}, false))
	until("the altered config", func() bool {
		entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}})
		must(err)
		return entries[0].Value == value
	})
}

func saramaGroups(b *bench) {
	admin := b.clusterAdmin()
	topic, group := b.topic(1), name()
	client, err := sarama.NewClient([]string{b.plain}, saramaConfig())
	must(err)
	defer client.Close()
	manager, err := sarama.NewOffsetManagerFromClient(group, client)
	must(err)
	partition, err := manager.ManagePartition(topic, 0)
	must(err)
	partition.MarkOffset(5, "here")
	manager.Commit()
	must(partition.Close())
	must(manager.Close())
	offsets, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})
	must(err)
	block := offsets.GetBlock(topic, 0)
	same([]any{block.Offset, block.Metadata}, []any{int64(5), "here"})
	listed, err := admin.ListConsumerGroups()
	must(err)
	_, isThere := listed[group]
	same(isThere, true)
	described, err := admin.DescribeConsumerGroups([]string{group})
	must(err)
	same(described[0].State, "Empty")
	must(admin.DeleteConsumerGroup(group))
}

func saramaDeleteRecords(b *bench) {
	topic := b.topic(1)
	send(b.syncProducer(saramaConfig()), topic, "a", "b", "c")
	must(b.clusterAdmin().DeleteRecords(topic, map[int32]int64{0: 2}))
	same(bodies(b.readFrom(topic, 0, sarama.OffsetOldest, 1, saramaConfig())), []string{"c"})
}

func saramaLogin(b *bench, isRight bool) {
	config := saramaConfig()
	config.Net.SASL.Enable = true
	config.Net.SASL.User = b.user
	config.Net.SASL.Password = b.password
	if !isRight {
		config.Net.SASL.Password = "wrong"
		config.Metadata.Retry.Max = 0
	}
	client, err := sarama.NewClient([]string{b.sasl}, config)
	if !isRight {
		same(err != nil, true)
		return
	}
	must(err)
	defer client.Close()
	topics, err := client.Topics()
	must(err)
	sort.Strings(topics)
}
