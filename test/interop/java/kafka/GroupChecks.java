import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** Consumer groups of both protocols, and share groups. */
final class GroupChecks {
  private static final int PARTITIONS = 4;

  private GroupChecks() {}

  static void addTo(Map<String, Driver.Check> checks) {
    checks.put("group-consumer", bench -> rebalance(bench, "group.protocol", "consumer"));
    checks.put("group-share", GroupChecks::share);
    checks.put("group-share-limits", GroupChecks::shareAttempts);
    checks.put("group-share-keys", GroupChecks::shareKeys);
    checks.put("group-classic", bench -> rebalance(bench, "group.protocol", "classic"));
    checks.put(
        "group-cooperative",
        bench ->
            rebalance(
                bench,
                "partition.assignment.strategy",
                "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"));
    checks.put("group-static", bench -> staticMember(bench, "classic"));
    checks.put("group-static-consumer", bench -> staticMember(bench, "consumer"));
    checks.put("group-pattern", GroupChecks::pattern);
    checks.put("group-migration", GroupChecks::migration);
  }

  /** Polls all consumers in turn, and gathers what each has read. */
  private static final class Readers {
    final List<KafkaConsumer<String, String>> consumers = new ArrayList<>();
    final List<ConsumerRecord<String, String>> records = new ArrayList<>();

    void poll() {
      for (KafkaConsumer<String, String> consumer : consumers) {
        consumer.poll(Duration.ofMillis(30)).forEach(records::add);
      }
    }

    /** Every partition has one owner, and each consumer some. */
    boolean isShared() {
      Set<TopicPartition> owned = new HashSet<>();
      int count = 0;
      for (KafkaConsumer<String, String> consumer : consumers) {
        Set<TopicPartition> own = consumer.assignment();
        if (own.isEmpty()) return false;
        count += own.size();
        owned.addAll(own);
      }
      return count == PARTITIONS && owned.size() == PARTITIONS;
    }

    void untilShared() throws Exception {
      Bench.until(
          "partitions shared by " + consumers.size(),
          () -> {
            poll();
            return isShared();
          });
    }

    void untilRead(int count) throws Exception {
      Bench.until(
          count + " records",
          () -> {
            poll();
            return records.size() >= count;
          });
    }
  }

  private static void fill(Bench bench, String topic, int from, int to) {
    KafkaProducer<String, String> producer = bench.producer();
    for (int index = from; index < to; index++) {
      producer.send(new ProducerRecord<>(topic, index % PARTITIONS, null, "" + index));
    }
    producer.flush();
  }

  private static void rebalance(Bench bench, String key, String value) throws Exception {
    String topic = bench.topic(PARTITIONS);
    String group = bench.name();
    Readers readers = new Readers();
    for (int index = 0; index < 2; index++) {
      var consumer = bench.consumer("group.id", group, "client.id", "c" + index, key, value);
      consumer.subscribe(List.of(topic));
      readers.consumers.add(consumer);
    }
    readers.untilShared();
    fill(bench, topic, 0, 40);
    readers.untilRead(40);
    Bench.same(new HashSet<>(Bench.values(readers.records)).size(), 40);
    for (KafkaConsumer<String, String> consumer : readers.consumers) consumer.commitSync();

    ConsumerGroupDescription described =
        bench.admin.describeConsumerGroups(List.of(group)).all().get().get(group);
    Bench.same(described.groupState(), GroupState.STABLE);
    Bench.same(described.members().size(), 2);
    boolean isNew = value.equals("consumer");
    Bench.same(described.type(), isNew ? GroupType.CONSUMER : GroupType.CLASSIC);
    Bench.same(
        described.members().stream()
            .mapToInt(member -> member.assignment().topicPartitions().size())
            .sum(),
        PARTITIONS);

    // One leaves: the other gets its partitions, and goes on behind what was committed.
    readers.consumers.remove(0).close();
    readers.records.clear();
    readers.untilShared();
    fill(bench, topic, 40, 60);
    readers.untilRead(20);
    Bench.same(new HashSet<>(Bench.values(readers.records)).size(), 20);
    readers.consumers.remove(0).close();

    // Nothing of the last 20 was committed, so a newcomer gets them.
    readers.records.clear();
    var consumer = bench.consumer("group.id", group, key, value);
    consumer.subscribe(List.of(topic));
    readers.consumers.add(consumer);
    readers.untilRead(20);
    Bench.holds(
        Bench.values(readers.records),
        values -> values.stream().allMatch(text -> Integer.parseInt(text) >= 40),
        "only what was not committed");
    var committed = bench.admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata();
    Bench.same(committed.get().get(new TopicPartition(topic, 3)).offset(), 10L);
  }

  private static void staticMember(Bench bench, String protocol) throws Exception {
    String topic = bench.topic(PARTITIONS);
    String group = bench.name();
    Readers readers = new Readers();
    for (String id : List.of("one", "two")) {
      var consumer =
          bench.consumer(
              "group.id", group, "group.instance.id", id, "group.protocol", protocol);
      consumer.subscribe(List.of(topic));
      readers.consumers.add(consumer);
    }
    readers.untilShared();
    Set<TopicPartition> owned = readers.consumers.get(1).assignment();
    // A static member that goes and comes again finds its partitions as they were.
    readers.consumers.remove(1).close();
    readers.poll();
    var again =
        bench.consumer("group.id", group, "group.instance.id", "two", "group.protocol", protocol);
    again.subscribe(List.of(topic));
    readers.consumers.add(again);
    readers.untilShared();
    Bench.same(again.assignment(), owned);
  }

  private static void pattern(Bench bench) throws Exception {
    String prefix = bench.name();
    String topic = prefix + "-matched";
    bench.deleteAtEnd(topic);
    bench.send(topic, "a");
    for (String protocol : List.of("classic", "consumer")) {
      var consumer =
          bench.consumer("group.id", bench.name(), "group.protocol", protocol);
      if (protocol.equals("consumer")) {
        consumer.subscribe(new SubscriptionPattern(prefix + ".*"));
      } else {
        consumer.subscribe(java.util.regex.Pattern.compile(prefix + ".*"));
      }
      Bench.same(Bench.take(consumer, 1).get(0).topic(), topic);
    }
  }

  /** Offsets that classic members have committed hold for members of the new protocol. */
  private static void migration(Bench bench) throws Exception {
    String topic = bench.topic(1);
    String group = bench.name();
    bench.send(topic, "old", "new");
    TopicPartition partition = new TopicPartition(topic, 0);
    try (var consumer = bench.consumer("group.id", group)) {
      consumer.subscribe(List.of(topic));
      Bench.take(consumer, 2);
      consumer.commitSync(Map.of(partition, new OffsetAndMetadata(1)));
    }
    var consumer = bench.consumer("group.id", group, "group.protocol", "consumer");
    consumer.subscribe(List.of(topic));
    Bench.same(Bench.values(Bench.take(consumer, 1)), List.of("new"));
  }

  private static KafkaShareConsumer<String, String> shareConsumer(
      Bench bench, String group, String topic, Object... pairs) {
    Map<String, Object> settings =
        bench.settings("group.id", group, "share.acknowledgement.mode", "explicit");
    for (int at = 0; at < pairs.length; at += 2) settings.put((String) pairs[at], pairs[at + 1]);
    settings.keySet().removeAll(List.of("key.serializer", "value.serializer"));
    settings.keySet().removeAll(List.of("auto.offset.reset", "enable.auto.commit"));
    KafkaShareConsumer<String, String> consumer =
        bench.closing(new KafkaShareConsumer<>(settings));
    consumer.subscribe(List.of(topic));
    return consumer;
  }

  private static String shareGroup(Bench bench) throws Exception {
    String group = bench.name();
    configure(bench, group, "share.auto.offset.reset", "earliest");
    return group;
  }

  private static void configure(Bench bench, String group, String name, String value)
      throws Exception {
    ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
    AlterConfigOp change =
        new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET);
    bench.admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
  }

  private static void share(Bench bench) throws Exception {
    String topic = bench.topic(2);
    fill2(bench, topic, 0, 20);
    String group = shareGroup(bench);
    List<KafkaShareConsumer<String, String>> consumers =
        List.of(shareConsumer(bench, group, topic), shareConsumer(bench, group, topic));
    Map<String, Integer> accepted = new HashMap<>();
    Set<String> released = new HashSet<>();
    Bench.until(
        "20 accepted, got " + accepted.size(),
        () -> {
          for (var consumer : consumers) {
            for (var record : consumer.poll(Bench.STEP)) {
              short count = record.deliveryCount().orElse((short) -1);
              if (record.value().endsWith("3") && released.add(record.value())) {
                Bench.same(count, (short) 1);
                consumer.acknowledge(record, AcknowledgeType.RELEASE);
                continue;
              }
              if (released.contains(record.value())) Bench.same(count, (short) 2);
              consumer.acknowledge(record, AcknowledgeType.ACCEPT);
              accepted.merge(record.value(), 1, Integer::sum);
            }
            consumer.commitSync();
          }
          return accepted.size() == 20;
        });
    Bench.same(released, Set.of("3", "13"));
    Bench.holds(accepted, all -> all.values().stream().allMatch(n -> n == 1), "each once");
    var described = bench.admin.describeShareGroups(List.of(group)).all().get().get(group);
    Bench.same(described.members().size(), 2);
    Bench.same(described.groupState(), GroupState.STABLE);
    for (var consumer : consumers) consumer.close();
    // What was accepted stays accepted for who comes later.
    fill2(bench, topic, 20, 22);
    var later = shareConsumer(bench, group, topic);
    Set<String> seen = new HashSet<>();
    Bench.until(
        "two records",
        () -> {
          for (var record : later.poll(Bench.STEP)) {
            seen.add(record.value());
            later.acknowledge(record);
          }
          later.commitSync();
          return seen.size() >= 2;
        });
    Bench.same(seen, Set.of("20", "21"));
  }

  private static void fill2(Bench bench, String topic, int from, int to) {
    KafkaProducer<String, String> producer = bench.producer();
    for (int index = from; index < to; index++) {
      producer.send(new ProducerRecord<>(topic, index % 2, null, "" + index));
    }
    producer.flush();
  }

  /** After five attempts, or one rejection, a record comes no more. */
  private static void shareAttempts(Bench bench) throws Exception {
    String topic = bench.topic(1);
    bench.send(topic, "poison", "rejected", "good");
    var consumer = shareConsumer(bench, shareGroup(bench), topic);
    List<String> seen = new ArrayList<>();
    Bench.until(
        "the last attempt",
        () -> {
          for (var record : consumer.poll(Bench.STEP)) {
            seen.add(record.value() + record.deliveryCount().orElse((short) 0));
            consumer.acknowledge(
                record,
                switch (record.value()) {
                  case "poison" -> AcknowledgeType.RELEASE;
                  case "rejected" -> AcknowledgeType.REJECT;
                  default -> AcknowledgeType.ACCEPT;
                });
          }
          consumer.commitSync();
          return seen.contains("poison5");
        });
    for (int tries = 0; tries < 6; tries++) {
      consumer.poll(Bench.STEP).forEach(record -> seen.add(record.value()));
    }
    Bench.same(
        Bench.sorted(seen),
        List.of("good1", "poison1", "poison2", "poison3", "poison4", "poison5", "rejected1"));
  }

  /** Each key in order and with one member at a time; a released record holds back its followers. */
  private static void shareKeys(Bench bench) throws Exception {
    String topic = bench.topic(1);
    KafkaProducer<String, String> producer =
        bench.producer("compression.type", "lz4", "linger.ms", 100);
    for (int sequence = 1; sequence <= 5; sequence++) {
      for (String key : List.of("a", "b", "c")) {
        producer.send(new ProducerRecord<>(topic, key, key + sequence));
      }
    }
    producer.flush();
    String group = shareGroup(bench);
    configure(bench, group, "waystation.key.shared", "true");
    Object[] oneByOne = {"max.poll.records", 1, "share.acquire.mode", "record_limit"};
    var one = shareConsumer(bench, group, topic, oneByOne);
    var two = shareConsumer(bench, group, topic, oneByOne);
    Map<String, Integer> next = new HashMap<>(Map.of("a", 1, "b", 1, "c", 1));
    var first = oneRecord(one);
    Bench.same(first.value(), "a1");
    // The first of its key is with the other member still, which may have fetched one more ahead.
    for (int count = 0; count < 3; count++) {
      var record = oneRecord(two);
      int sequence = next.merge(record.key(), 1, Integer::sum) - 1;
      Bench.same(record.value(), record.key() + sequence);
      two.acknowledge(record, AcknowledgeType.ACCEPT);
      two.commitSync();
    }
    Bench.same(next.get("a"), 1);
    one.acknowledge(first, AcknowledgeType.RELEASE);
    one.commitSync();
    List<KafkaShareConsumer<String, String>> consumers = List.of(one, two);
    Bench.until(
        "all records",
        () -> {
          for (var consumer : consumers) {
            for (var record : consumer.poll(Bench.STEP)) {
              int sequence = next.merge(record.key(), 1, Integer::sum) - 1;
              Bench.same(record.value(), record.key() + sequence);
              consumer.acknowledge(record, AcknowledgeType.ACCEPT);
            }
            consumer.commitSync();
          }
          return next.values().stream().allMatch(sequence -> sequence == 6);
        });
  }

  private static ConsumerRecord<String, String> oneRecord(
      KafkaShareConsumer<String, String> consumer) throws Exception {
    List<ConsumerRecord<String, String>> records = new ArrayList<>();
    Bench.until(
        "a record",
        () -> {
          consumer.poll(Bench.STEP).forEach(records::add);
          return !records.isEmpty();
        });
    Bench.same(records.size(), 1);
    return records.get(0);
  }
}
