import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Produced;

/** Transactions, by hand and as Kafka Streams uses them. */
final class TransactionChecks {
  private TransactionChecks() {}

  static void addTo(Map<String, Driver.Check> checks) {
    checks.put("streams-word-count", TransactionChecks::wordCount);
    checks.put("transaction-commit", TransactionChecks::commitAndAbort);
    checks.put("transaction-offsets", TransactionChecks::offsets);
    checks.put("transaction-fencing", TransactionChecks::fencing);
    checks.put("transaction-timeout", TransactionChecks::timeout);
  }

  private static KafkaProducer<String, String> transactional(Bench bench, String id) {
    KafkaProducer<String, String> producer = bench.producer("transactional.id", id);
    producer.initTransactions();
    return producer;
  }

  private static final Object[] COMMITTED = {"isolation.level", "read_committed"};

  private static void commitAndAbort(Bench bench) throws Exception {
    String topic = bench.topic(2);
    KafkaProducer<String, String> producer = transactional(bench, bench.name());
    for (int round = 0; round < 6; round++) {
      producer.beginTransaction();
      for (int partition = 0; partition < 2; partition++) {
        producer.send(new ProducerRecord<>(topic, partition, null, "" + round)).get();
      }
      if (round % 2 == 0) producer.commitTransaction();
      else producer.abortTransaction();
    }
    producer.beginTransaction();
    producer.send(new ProducerRecord<>(topic, 0, null, "open")).get();
    TopicPartition first = new TopicPartition(topic, 0);
    KafkaConsumer<String, String> committed = bench.consumer(COMMITTED);
    // Twelve offsets of records and markers; what is open is not there yet.
    Bench.same(committed.endOffsets(List.of(first)).get(first), 12L);
    KafkaConsumer<String, String> uncommitted = bench.consumer();
    Bench.same(uncommitted.endOffsets(List.of(first)).get(first), 13L);
    Bench.same(
        Bench.sorted(Bench.values(bench.read(topic, 6, COMMITTED))),
        List.of("0", "0", "2", "2", "4", "4"));
    Bench.same(bench.read(topic, 13).size(), 13);
    producer.commitTransaction();
    Bench.holds(
        Bench.values(bench.read(topic, 7, COMMITTED)),
        values -> values.contains("open"),
        "committed at last");
  }

  /** Consume, transform, produce: the offsets are committed with the records or not at all. */
  private static void offsets(Bench bench) throws Exception {
    String source = bench.topic(1);
    String target = bench.topic(1);
    String group = bench.name();
    bench.send(source, "a", "b", "c", "d");
    TopicPartition partition = new TopicPartition(source, 0);
    KafkaProducer<String, String> producer = transactional(bench, bench.name());
    KafkaConsumer<String, String> consumer = bench.consumer("group.id", group, "max.poll.records", 1);
    consumer.subscribe(List.of(source));
    for (boolean commits : new boolean[] {true, false}) {
      ConsumerRecord<String, String> record = Bench.take(consumer, 1).get(0);
      producer.beginTransaction();
      producer.send(new ProducerRecord<>(target, record.value().toUpperCase())).get();
      producer.sendOffsetsToTransaction(
          Map.of(partition, new OffsetAndMetadata(record.offset() + 1)),
          consumer.groupMetadata());
      if (commits) producer.commitTransaction();
      else producer.abortTransaction();
    }
    Bench.same(consumer.committed(java.util.Set.of(partition)).get(partition).offset(), 1L);
    Bench.same(Bench.values(bench.read(target, 1, COMMITTED)), List.of("A"));
  }

  private static void fencing(Bench bench) throws Exception {
    String topic = bench.topic(1);
    String id = bench.name();
    KafkaProducer<String, String> old = transactional(bench, id);
    old.beginTransaction();
    old.send(new ProducerRecord<>(topic, "fenced")).get();
    KafkaProducer<String, String> young = transactional(bench, id);
    Bench.refused(
        Exception.class,
        () -> {
          try {
            old.send(new ProducerRecord<>(topic, "late")).get();
            old.commitTransaction();
          } catch (Exception thrown) {
            Bench.holds(thrown, TransactionChecks::isFenced, "how a fenced producer is told");
            throw thrown;
          }
        });
    young.beginTransaction();
    young.send(new ProducerRecord<>(topic, "young"));
    young.commitTransaction();
    Bench.same(Bench.values(bench.read(topic, 1, COMMITTED)), List.of("young"));
    bench.admin.fenceProducers(List.of(id)).all().get();
    young.beginTransaction();
    Bench.refused(
        Exception.class, () -> young.send(new ProducerRecord<>(topic, "after")).get());
  }

  private static boolean isFenced(Throwable thrown) {
    for (Throwable at = thrown; at != null; at = at.getCause()) {
      if (at instanceof ProducerFencedException) return true;
      if (at instanceof InvalidProducerEpochException) return true;
    }
    return false;
  }

  /** A transaction that nobody ends is aborted, and holds up readers no longer. */
  private static void timeout(Bench bench) throws Exception {
    String topic = bench.topic(1);
    KafkaProducer<String, String> producer =
        bench.producer("transactional.id", bench.name(), "transaction.timeout.ms", 1_000);
    producer.initTransactions();
    producer.beginTransaction();
    producer.send(new ProducerRecord<>(topic, "forgotten")).get();
    bench.send(topic, "next");
    Bench.same(Bench.values(bench.read(topic, 1, COMMITTED)), List.of("next"));
  }

  private static void wordCount(Bench bench) throws Exception {
    String lines = bench.topic(2);
    String counts = bench.topic(2);
    StreamsBuilder builder = new StreamsBuilder();
    builder
        .<String, String>stream(lines)
        .flatMapValues(line -> Arrays.asList(line.split(" ")))
        .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
        .count()
        .toStream()
        .to(counts, Produced.with(Serdes.String(), Serdes.Long()));
    String application = bench.name();
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bench.target.plain());
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    settings.put(
        StreamsConfig.STATE_DIR_CONFIG,
        java.nio.file.Files.createTempDirectory("ws-streams").toString());
    settings.put("auto.offset.reset", "earliest");
    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    try {
      streams.start();
      KafkaProducer<String, String> producer = bench.producer();
      for (int index = 0; index < 100; index++) {
        producer.send(new ProducerRecord<>(lines, "k" + index, "all the words the"));
      }
      producer.flush();
      Map<String, Long> last = new HashMap<>();
      List<String> settingsOfReader = new ArrayList<>(List.of(counts));
      try (KafkaConsumer<String, Long> reader =
          new KafkaConsumer<>(
              Map.of(
                  "bootstrap.servers", bench.target.plain(),
                  "group.id", bench.name(),
                  "auto.offset.reset", "earliest",
                  "isolation.level", "read_committed"),
              new StringDeserializer(),
              new LongDeserializer())) {
        reader.subscribe(settingsOfReader);
        Bench.until(
            "all counts",
            () -> {
              for (var record : reader.poll(Bench.STEP)) {
                Bench.holds(
                    record.value(),
                    count -> count > last.getOrDefault(record.key(), 0L),
                    "counts only grow");
                last.put(record.key(), record.value());
              }
              return last.equals(Map.of("all", 100L, "the", 200L, "words", 100L));
            });
      }
    } finally {
      streams.close();
      streams.cleanUp();
      bench.admin.listTopics().names().get().stream()
          .filter(name -> name.startsWith(application))
          .forEach(bench::deleteAtEnd);
    }
  }
}
