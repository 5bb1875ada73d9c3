import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.function.Predicate;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** What a check works with: names of its own, and clients that are closed at its end. */
final class Bench implements AutoCloseable {
  static final Duration STEP = Duration.ofMillis(50);
  static final long WAIT_MS = 60_000;

  interface Attempt {
    boolean done() throws Exception;
  }

  interface Action {
    void run() throws Exception;
  }

  final Target target;
  final Admin admin;
  private final List<String> topics = new ArrayList<>();
  private final List<AutoCloseable> clients = new ArrayList<>();

  Bench(Target target) {
    this.target = target;
    admin = Admin.create(Map.of("bootstrap.servers", target.plain()));
  }

  String name() {
    return "ws-java-" + UUID.randomUUID().toString().substring(0, 13);
  }

  String topic(int partitions, Map<String, String> given) throws Exception {
    String name = name();
    // The checks write times long past, which retention would take away.
    Map<String, String> configs = new HashMap<>(Map.of("retention.ms", "-1"));
    configs.putAll(given);
    admin
        .createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(configs)))
        .all()
        .get();
    deleteAtEnd(name);
    // Kafka's broker hears of it from its controller, after the answer.
    until(name, () -> admin.listTopics().names().get().contains(name));
    return name;
  }

  String topic(int partitions) throws Exception {
    return topic(partitions, Map.of());
  }

  void deleteAtEnd(String topic) {
    topics.add(topic);
  }

  <T extends AutoCloseable> T closing(T client) {
    clients.add(client);
    return client;
  }

  Map<String, Object> settings(Object... pairs) {
    Map<String, Object> settings = new HashMap<>();
    settings.put("bootstrap.servers", target.plain());
    settings.put("key.serializer", StringSerializer.class);
    settings.put("value.serializer", StringSerializer.class);
    settings.put("key.deserializer", StringDeserializer.class);
    settings.put("value.deserializer", StringDeserializer.class);
    settings.put("auto.offset.reset", "earliest");
    settings.put("enable.auto.commit", false);
    for (int at = 0; at < pairs.length; at += 2) settings.put((String) pairs[at], pairs[at + 1]);
    return settings;
  }

  KafkaProducer<String, String> producer(Object... pairs) {
    Map<String, Object> settings = settings(pairs);
    settings.keySet().removeAll(List.of("key.deserializer", "value.deserializer"));
    settings.keySet().removeAll(List.of("auto.offset.reset", "enable.auto.commit"));
    return closing(new KafkaProducer<>(settings));
  }

  KafkaConsumer<String, String> consumer(Object... pairs) {
    Map<String, Object> settings = settings(pairs);
    settings.keySet().removeAll(List.of("key.serializer", "value.serializer"));
    // With the new protocol the broker sets the pace.
    if (!"consumer".equals(settings.get("group.protocol"))) {
      settings.put("heartbeat.interval.ms", 200);
    }
    return closing(new KafkaConsumer<>(settings));
  }

  /** Produces values to partition 0, each acknowledged. */
  void send(String topic, String... values) throws Exception {
    try (KafkaProducer<String, String> producer =
        new KafkaProducer<>(
            Map.of("bootstrap.servers", target.plain()),
            new StringSerializer(),
            new StringSerializer())) {
      for (String value : values) {
        producer.send(new ProducerRecord<>(topic, 0, null, value)).get();
      }
    }
  }

  /** Reads a topic's partitions from their begin until so many records came. */
  List<ConsumerRecord<String, String>> read(String topic, int count, Object... pairs)
      throws Exception {
    try (KafkaConsumer<String, String> consumer = consumer(pairs)) {
      clients.remove(consumer);
      List<TopicPartition> partitions =
          consumer.partitionsFor(topic).stream()
              .map(info -> new TopicPartition(topic, info.partition()))
              .toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      return take(consumer, count);
    }
  }

  static List<ConsumerRecord<String, String>> take(
      KafkaConsumer<String, String> consumer, int count) throws Exception {
    List<ConsumerRecord<String, String>> records = new ArrayList<>();
    until(
        count + " records, there are " + records.size(),
        () -> {
          consumer.poll(STEP).forEach(records::add);
          return records.size() >= count;
        });
    return records;
  }

  static void until(String what, Attempt attempt) throws Exception {
    long endNs = System.nanoTime() + WAIT_MS * 1_000_000;
    while (!attempt.done()) {
      if (System.nanoTime() > endNs) throw new AssertionError("never came: " + what);
      Thread.sleep(5);
    }
  }

  static void same(Object seen, Object wanted) {
    if (!Objects.deepEquals(seen, wanted)) {
      throw new AssertionError(wanted + " was expected, got " + seen);
    }
  }

  static <T> void holds(T seen, Predicate<T> condition, String what) {
    if (!condition.test(seen)) throw new AssertionError(what + ": " + seen);
  }

  /** The error, or its cause, is of that class. */
  static void refused(Class<? extends Throwable> wanted, Action action) throws Exception {
    try {
      action.run();
    } catch (Exception thrown) {
      Throwable cause = thrown instanceof ExecutionException ? thrown.getCause() : thrown;
      for (Throwable at = cause; at != null; at = at.getCause()) {
        if (wanted.isInstance(at)) return;
      }
      throw new AssertionError(wanted.getSimpleName() + " was expected, got " + cause, cause);
    }
    throw new AssertionError(wanted.getSimpleName() + " was expected, nothing was refused");
  }

  static List<String> values(List<ConsumerRecord<String, String>> records) {
    return records.stream().map(ConsumerRecord::value).toList();
  }

  static List<String> sorted(List<String> values) {
    String[] copy = values.toArray(String[]::new);
    Arrays.sort(copy);
    return List.of(copy);
  }

  @Override
  public void close() throws Exception {
    for (AutoCloseable client : clients) {
      if (client instanceof KafkaProducer<?, ?> producer) producer.close(Duration.ZERO);
      else client.close();
    }
    try {
      admin.deleteTopics(topics).all().get();
    } catch (ExecutionException gone) {
      // A check may have deleted its topic itself.
    }
    admin.close();
  }
}
