import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.SaslAuthenticationException;
import org.apache.kafka.common.header.Header;

/** Producer and consumer without a group. */
final class ClientChecks {
  private ClientChecks() {}

  static void addTo(Map<String, Driver.Check> checks) {
    checks.put("produce-consume", ClientChecks::produceConsume);
    checks.put("codecs", ClientChecks::codecs);
    checks.put("acks", ClientChecks::acks);
    checks.put("large", ClientChecks::large);
    checks.put("seek", ClientChecks::seek);
    checks.put("log-append-time", ClientChecks::logAppendTime);
    checks.put("auto-create", ClientChecks::autoCreate);
    checks.put("sasl-plain", bench -> login(bench, "PLAIN", bench.target.password(), false));
    checks.put("sasl-scram-256", bench -> login(bench, "SCRAM-SHA-256", null, false));
    checks.put("sasl-scram-512", bench -> login(bench, "SCRAM-SHA-512", null, false));
    checks.put("tls", bench -> login(bench, "PLAIN", bench.target.password(), true));
    checks.put("wrong-password", ClientChecks::wrongPassword);
  }

  private static void produceConsume(Bench bench) throws Exception {
    String topic = bench.topic(2);
    KafkaProducer<String, String> producer = bench.producer();
    ProducerRecord<String, String> first =
        new ProducerRecord<>(topic, 1, 1_700_000_000_000L, "key", "välue ✓");
    first.headers().add("h", "one".getBytes(StandardCharsets.UTF_8));
    first.headers().add("h", "two".getBytes(StandardCharsets.UTF_8));
    first.headers().add("none", null);
    RecordMetadata stored = producer.send(first).get();
    Bench.same(List.of(stored.partition(), stored.offset()), List.of(1, 0L));
    Bench.same(stored.timestamp(), 1_700_000_000_000L);
    ProducerRecord<String, String> tombstone =
        new ProducerRecord<>(topic, 1, 1L, null, (String) null);
    producer.send(tombstone).get();
    producer.send(new ProducerRecord<>(topic, 1, "", "")).get();

    List<ConsumerRecord<String, String>> seen = bench.read(topic, 3);
    ConsumerRecord<String, String> record = seen.get(0);
    Bench.same(List.of(record.key(), record.value()), List.of("key", "välue ✓"));
    Bench.same(record.timestamp(), 1_700_000_000_000L);
    List<String> headers = new ArrayList<>();
    for (Header header : record.headers()) {
      byte[] value = header.value();
      headers.add(header.key() + "=" + (value == null ? "null" : new String(value)));
    }
    Bench.same(headers, List.of("h=one", "h=two", "none=null"));
    Bench.same(seen.get(1).key(), null);
    Bench.same(seen.get(1).value(), null);
    Bench.same(seen.get(1).timestamp(), 1L);
    Bench.same(List.of(seen.get(2).key(), seen.get(2).value()), List.of("", ""));
    Bench.same(seen.stream().map(ConsumerRecord::offset).toList(), List.of(0L, 1L, 2L));
  }

  private static void codecs(Bench bench) throws Exception {
    String topic = bench.topic(1);
    List<String> wanted = new ArrayList<>();
    for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
      try (KafkaProducer<String, String> producer =
          bench.producer("compression.type", codec, "linger.ms", 20)) {
        for (int index = 0; index < 500; index++) {
          wanted.add(codec + " ".repeat(100) + index);
          producer.send(new ProducerRecord<>(topic, "k", wanted.get(wanted.size() - 1)));
        }
      }
    }
    Bench.same(Bench.values(bench.read(topic, wanted.size())), wanted);
    // From the middle of a compressed batch.
    KafkaConsumer<String, String> consumer = bench.consumer();
    TopicPartition partition = new TopicPartition(topic, 0);
    consumer.assign(List.of(partition));
    consumer.seek(partition, 1_234);
    Bench.same(Bench.take(consumer, 1).get(0).value(), wanted.get(1_234));
  }

  private static void acks(Bench bench) throws Exception {
    String topic = bench.topic(1);
    for (String acks : List.of("0", "1", "all")) {
      try (KafkaProducer<String, String> producer =
          bench.producer("acks", acks, "enable.idempotence", false)) {
        producer.send(new ProducerRecord<>(topic, acks)).get();
      }
    }
    Bench.same(Bench.values(bench.read(topic, 3)), List.of("0", "1", "all"));
  }

  private static void large(Bench bench) throws Exception {
    String topic = bench.topic(1);
    String small = bench.topic(1, Map.of("max.message.bytes", "1000"));
    KafkaProducer<String, String> producer =
        bench.producer("max.request.size", 4_000_000, "batch.size", 500_000, "linger.ms", 5);
    Bench.refused(
        RecordTooLargeException.class,
        () -> producer.send(new ProducerRecord<>(small, "x".repeat(2_000))).get());
    producer.send(new ProducerRecord<>(topic, "x".repeat(1_000_000))).get();
    List<Future<RecordMetadata>> results = new ArrayList<>();
    for (int index = 0; index < 5_000; index++) {
      results.add(producer.send(new ProducerRecord<>(topic, index + " ".repeat(500))));
    }
    for (int index = 0; index < results.size(); index++) {
      Bench.same(results.get(index).get().offset(), index + 1L);
    }
    // Less than a batch may be asked for: it must come whole all the same.
    List<String> values =
        Bench.values(bench.read(topic, 5_001, "max.partition.fetch.bytes", 10_000));
    Bench.same(values.get(0).length(), 1_000_000);
    Bench.same(
        values.stream().skip(1).map(String::trim).toList(),
        IntStream.range(0, 5_000).mapToObj(String::valueOf).toList());
  }

  private static void seek(Bench bench) throws Exception {
    String topic = bench.topic(1);
    TopicPartition partition = new TopicPartition(topic, 0);
    KafkaProducer<String, String> producer = bench.producer();
    for (int index = 0; index < 10; index++) {
      producer.send(new ProducerRecord<>(topic, 0, 1_000L * index, null, "" + index)).get();
    }
    KafkaConsumer<String, String> consumer = bench.consumer("max.poll.records", 1);
    consumer.assign(List.of(partition));
    consumer.seek(partition, 7);
    Bench.same(Bench.values(Bench.take(consumer, 1)), List.of("7"));
    consumer.seekToBeginning(List.of(partition));
    Bench.same(Bench.values(Bench.take(consumer, 1)), List.of("0"));
    consumer.seekToEnd(List.of(partition));
    Bench.same(consumer.position(partition), 10L);
    Bench.same(consumer.beginningOffsets(List.of(partition)), Map.of(partition, 0L));
    Bench.same(consumer.endOffsets(List.of(partition)), Map.of(partition, 10L));
    Bench.same(timeOffset(consumer, partition, 4_500L), 5L);
    Bench.same(timeOffset(consumer, partition, 4_000L), 4L);
    Bench.same(timeOffset(consumer, partition, 99_000L), -1L);
    // Beyond the end: the reset policy decides.
    consumer.seek(partition, 1_000);
    Bench.same(Bench.values(Bench.take(consumer, 1)), List.of("0"));
    KafkaConsumer<String, String> strict = bench.consumer("auto.offset.reset", "none");
    strict.assign(List.of(partition));
    Bench.refused(
        Exception.class,
        () -> {
          strict.seek(partition, 1_000);
          for (int tries = 0; tries < 200; tries++) strict.poll(Bench.STEP);
        });
    KafkaConsumer<String, String> fresh =
        bench.consumer("auto.offset.reset", "none", "group.id", bench.name());
    fresh.assign(List.of(partition));
    Bench.refused(
        NoOffsetForPartitionException.class, () -> fresh.poll(Duration.ofSeconds(10)));
    fresh.commitSync(Map.of(partition, new OffsetAndMetadata(3, "here")));
    Bench.same(fresh.committed(java.util.Set.of(partition)).get(partition).metadata(), "here");
    Bench.same(Bench.take(fresh, 1).get(0).value(), "3");
    Bench.same(fresh.currentLag(partition).orElse(-1) >= 0, true);
  }

  private static long timeOffset(
      KafkaConsumer<String, String> consumer, TopicPartition partition, long timestamp) {
    var found = consumer.offsetsForTimes(Map.of(partition, timestamp)).get(partition);
    return found == null ? -1 : found.offset();
  }

  private static void logAppendTime(Bench bench) throws Exception {
    String topic = bench.topic(1, Map.of("message.timestamp.type", "LogAppendTime"));
    long before = System.currentTimeMillis();
    KafkaProducer<String, String> producer = bench.producer("compression.type", "lz4");
    RecordMetadata stored =
        producer.send(new ProducerRecord<>(topic, 0, 5L, "k", "v")).get();
    Bench.holds(stored.timestamp(), at -> at >= before - 1_000, "append time");
    Bench.same(bench.read(topic, 1).get(0).timestamp(), stored.timestamp());
  }

  private static void autoCreate(Bench bench) throws Exception {
    String topic = bench.name();
    bench.deleteAtEnd(topic);
    bench.send(topic, "x");
    Bench.same(Bench.values(bench.read(topic, 1)), List.of("x"));
    Bench.refused(InvalidTopicException.class, () -> bench.send("no/such name", "x"));
  }

  private static Object[] loginSettings(
      Target target, String mechanism, String password, boolean tls) {
    String module = mechanism.equals("PLAIN") ? "plain.PlainLoginModule" : "scram.ScramLoginModule";
    String jaas =
        "org.apache.kafka.common.security.%s required username=\"%s\" password=\"%s\";"
            .formatted(module, target.user(), password);
    List<Object> pairs =
        new ArrayList<>(
            List.of(
                "bootstrap.servers", tls ? target.tls() : target.sasl(),
                "security.protocol", tls ? "SASL_SSL" : "SASL_PLAINTEXT",
                "sasl.mechanism", mechanism,
                "sasl.jaas.config", jaas));
    if (tls) {
      pairs.addAll(List.of("ssl.truststore.type", "PEM"));
      pairs.addAll(List.of("ssl.truststore.location", target.caFile()));
    }
    return pairs.toArray();
  }

  private static void login(Bench bench, String mechanism, String password, boolean tls)
      throws Exception {
    String topic = bench.topic(1);
    String given = password == null ? bench.target.password() : password;
    Object[] settings = loginSettings(bench.target, mechanism, given, tls);
    bench.producer(settings).send(new ProducerRecord<>(topic, "secret")).get();
    Bench.same(Bench.values(bench.read(topic, 1, settings)), List.of("secret"));
  }

  private static void wrongPassword(Bench bench) throws Exception {
    String topic = bench.topic(1);
    for (String mechanism : List.of("PLAIN", "SCRAM-SHA-256")) {
      Object[] settings = loginSettings(bench.target, mechanism, "wrong", false);
      Bench.refused(
          SaslAuthenticationException.class,
          () -> bench.producer(settings).send(new ProducerRecord<>(topic, "x")).get());
    }
  }
}
