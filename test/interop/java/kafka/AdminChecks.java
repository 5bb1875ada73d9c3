import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Kafka's Admin client. */
final class AdminChecks {
  private AdminChecks() {}

  static void addTo(Map<String, Driver.Check> checks) {
    checks.put("admin-topics", AdminChecks::topics);
    checks.put("admin-configs", AdminChecks::configs);
    checks.put("admin-records", AdminChecks::records);
    checks.put("admin-groups", AdminChecks::groups);
    checks.put("admin-cluster", AdminChecks::cluster);
    checks.put("admin-transactions", AdminChecks::transactions);
  }

  private static void topics(Bench bench) throws Exception {
    Admin admin = bench.admin;
    String topic = bench.topic(3);
    TopicDescription described = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
    Bench.same(described.partitions().size(), 3);
    Bench.same(described.isInternal(), false);
    Bench.same(described.partitions().get(2).isr().size(), 1);
    Bench.same(
        admin.describeTopics(org.apache.kafka.common.TopicCollection.ofTopicIds(Set.of(described.topicId())))
            .allTopicIds().get().get(described.topicId()).name(),
        topic);
    Bench.same(admin.listTopics().names().get().contains(topic), true);
    admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get();

    admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
    Bench.same(
        admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size(), 5);
    Bench.refused(
        InvalidPartitionsException.class,
        () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get());

    refusedTopic(admin, TopicExistsException.class, new NewTopic(topic, 1, (short) 1));
    refusedTopic(admin, InvalidTopicException.class, new NewTopic("a b", 1, (short) 1));
    refusedTopic(admin, InvalidTopicException.class, new NewTopic("..", 1, (short) 1));
    refusedTopic(admin, InvalidPartitionsException.class, new NewTopic(bench.name(), 0, (short) 1));
    refusedTopic(
        admin, InvalidReplicationFactorException.class, new NewTopic(bench.name(), 1, (short) 3));
    refusedTopic(
        admin,
        InvalidConfigurationException.class,
        new NewTopic(bench.name(), 1, (short) 1).configs(Map.of("retention.ms", "soon")));

    admin.deleteTopics(List.of(topic)).all().get();
    Bench.until("no topic", () -> !admin.listTopics().names().get().contains(topic));
    Bench.refused(
        UnknownTopicOrPartitionException.class,
        () -> admin.describeTopics(List.of(topic)).allTopicNames().get());
    Bench.refused(
        UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(topic)).all().get());

    // Made anew it is another topic, and empty.
    admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
    Bench.until("the topic", () -> admin.listTopics().names().get().contains(topic));
    Bench.holds(
        admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId(),
        id -> !id.equals(described.topicId()),
        "a new id");
  }

  private static void refusedTopic(Admin admin, Class<? extends Exception> wanted, NewTopic topic)
      throws Exception {
    Bench.refused(wanted, () -> admin.createTopics(List.of(topic)).all().get());
  }

  private static void configs(Bench bench) throws Exception {
    Admin admin = bench.admin;
    String topic = bench.topic(1, Map.of("retention.ms", "123456789"));
    ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    Config config = admin.describeConfigs(List.of(resource)).all().get().get(resource);
    Bench.same(config.get("retention.ms").value(), "123456789");
    Bench.same(
        config.get("retention.ms").source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG);
    Bench.same(config.get("cleanup.policy").value(), "delete");
    Bench.same(config.get("cleanup.policy").isDefault(), true);
    for (String name :
        List.of(
            "compression.type", "max.message.bytes", "message.timestamp.type", "min.insync.replicas",
            "retention.bytes", "segment.bytes", "delete.retention.ms")) {
      Bench.holds(config.get(name), entry -> entry != null && entry.value() != null, name);
    }
    admin
        .incrementalAlterConfigs(
            Map.of(
                resource,
                List.of(
                    new AlterConfigOp(
                        new ConfigEntry("retention.ms", ""), AlterConfigOp.OpType.DELETE),
                    new AlterConfigOp(
                        new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.APPEND),
                    new AlterConfigOp(
                        new ConfigEntry("max.message.bytes", "2000"), AlterConfigOp.OpType.SET))))
        .all()
        .get();
    Bench.until(
        "altered configs",
        () -> {
          Config now = admin.describeConfigs(List.of(resource)).all().get().get(resource);
          return now.get("retention.ms").value().equals("604800000")
              && Set.of(now.get("cleanup.policy").value().split(","))
                  .equals(Set.of("delete", "compact"))
              && now.get("max.message.bytes").value().equals("2000");
        });
    Bench.refused(
        InvalidConfigurationException.class,
        () ->
            admin
                .incrementalAlterConfigs(
                    Map.of(
                        resource,
                        List.of(
                            new AlterConfigOp(
                                new ConfigEntry("no.such.config", "1"), AlterConfigOp.OpType.SET))))
                .all()
                .get());
    ConfigResource missing = new ConfigResource(ConfigResource.Type.TOPIC, bench.name());
    Bench.refused(
        UnknownTopicOrPartitionException.class,
        () -> admin.describeConfigs(List.of(missing)).all().get());
    String node = admin.describeCluster().nodes().get().iterator().next().idString();
    ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, node);
    Config ofBroker = admin.describeConfigs(List.of(broker)).all().get().get(broker);
    Bench.holds(ofBroker.entries().size(), count -> count > 5, "settings of the broker");
  }

  private static void records(Bench bench) throws Exception {
    Admin admin = bench.admin;
    String topic = bench.topic(1);
    TopicPartition partition = new TopicPartition(topic, 0);
    try (KafkaProducer<String, String> producer = bench.producer()) {
      for (int index = 0; index < 10; index++) {
        long timestamp = index == 4 ? 90_000L : index * 1_000L;
        producer.send(new ProducerRecord<>(topic, 0, timestamp, null, "" + index)).get();
      }
    }
    Bench.same(offset(admin, partition, OffsetSpec.earliest()), 0L);
    Bench.same(offset(admin, partition, OffsetSpec.latest()), 10L);
    Bench.same(offset(admin, partition, OffsetSpec.maxTimestamp()), 4L);
    Bench.same(offset(admin, partition, OffsetSpec.forTimestamp(2_500)), 3L);
    Bench.same(offset(admin, partition, OffsetSpec.forTimestamp(8_000)), 4L);
    var deleted =
        admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(6))).lowWatermarks();
    Bench.same(deleted.get(partition).get().lowWatermark(), 6L);
    Bench.same(offset(admin, partition, OffsetSpec.earliest()), 6L);
    Bench.same(Bench.values(bench.read(topic, 4)), List.of("6", "7", "8", "9"));
    Bench.refused(
        OffsetOutOfRangeException.class,
        () ->
            admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(99))).all().get());
    admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(-1))).all().get();
    Bench.same(offset(admin, partition, OffsetSpec.earliest()), 10L);
  }

  private static long offset(Admin admin, TopicPartition partition, OffsetSpec spec)
      throws Exception {
    return admin.listOffsets(Map.of(partition, spec)).all().get().get(partition).offset();
  }

  private static void groups(Bench bench) throws Exception {
    Admin admin = bench.admin;
    String topic = bench.topic(1);
    String group = bench.name();
    TopicPartition partition = new TopicPartition(topic, 0);
    bench.send(topic, "a", "b", "c");
    KafkaConsumer<String, String> consumer = bench.consumer("group.id", group);
    consumer.subscribe(List.of(topic));
    Bench.take(consumer, 3);
    consumer.commitSync();
    Bench.same(
        admin.listGroups().all().get().stream()
            .filter(listing -> listing.groupId().equals(group))
            .map(listing -> listing.groupState().orElse(null))
            .toList(),
        List.of(GroupState.STABLE));
    Bench.refused(
        GroupNotEmptyException.class,
        () -> admin.deleteConsumerGroups(List.of(group)).all().get());
    Bench.refused(
        Exception.class,
        () ->
            admin
                .alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(1)))
                .all()
                .get());
    consumer.close();
    admin
        .alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(1, "moved")))
        .all()
        .get();
    OffsetAndMetadata moved =
        admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(partition);
    Bench.same(List.of(moved.offset(), moved.metadata()), List.of(1L, "moved"));
    Bench.same(
        admin.describeConsumerGroups(List.of(group)).all().get().get(group).groupState(),
        GroupState.EMPTY);
    admin.deleteConsumerGroupOffsets(group, Set.of(partition)).all().get();
    Bench.same(
        admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(partition),
        null);
    admin.deleteConsumerGroups(List.of(group)).all().get();
    Collection<GroupListing> left = admin.listGroups().all().get();
    Bench.same(left.stream().anyMatch(listing -> listing.groupId().equals(group)), false);
    Bench.refused(
        GroupIdNotFoundException.class,
        () -> admin.deleteConsumerGroups(List.of(group)).all().get());
  }

  private static void cluster(Bench bench) throws Exception {
    Admin admin = bench.admin;
    var cluster = admin.describeCluster();
    Bench.same(cluster.nodes().get().size(), 1);
    Node node = cluster.nodes().get().iterator().next();
    Bench.same(cluster.controller().get().id(), node.id());
    Bench.holds(cluster.clusterId().get(), id -> id.length() == 22, "cluster id");
    String topic = bench.topic(1);
    bench.send(topic, "some bytes");
    var folders = admin.describeLogDirs(List.of(node.id())).allDescriptions().get().get(node.id());
    Bench.holds(
        folders.values().stream()
            .flatMap(folder -> folder.replicaInfos().entrySet().stream())
            .filter(entry -> entry.getKey().topic().equals(topic))
            .mapToLong(entry -> entry.getValue().size())
            .sum(),
        size -> size > 0,
        "size of the log");
    Bench.same(
        admin.describeFeatures().featureMetadata().get().supportedFeatures().isEmpty(), false);
  }

  private static void transactions(Bench bench) throws Exception {
    Admin admin = bench.admin;
    String topic = bench.topic(1);
    String id = bench.name();
    TopicPartition partition = new TopicPartition(topic, 0);
    KafkaProducer<String, String> producer = bench.producer("transactional.id", id);
    producer.initTransactions();
    producer.beginTransaction();
    producer.send(new ProducerRecord<>(topic, "open")).get();
    var described = admin.describeTransactions(List.of(id)).all().get().get(id);
    Bench.same(described.state(), TransactionState.ONGOING);
    Bench.same(described.topicPartitions(), Set.of(partition));
    Bench.holds(
        admin.listTransactions().all().get(),
        all -> all.stream().anyMatch(one -> one.transactionalId().equals(id)),
        "the list");
    List<ProducerState> states =
        admin.describeProducers(List.of(partition)).all().get().get(partition).activeProducers();
    Bench.same(
        states.stream().map(ProducerState::producerId).collect(Collectors.toList()),
        List.of(described.producerId()));
    Bench.same(states.get(0).currentTransactionStartOffset().getAsLong(), 0L);
    producer.commitTransaction();
    Bench.until(
        "the end",
        () ->
            admin.describeTransactions(List.of(id)).all().get().get(id).state()
                == TransactionState.COMPLETE_COMMIT);
  }
}
