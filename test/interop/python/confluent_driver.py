"""Asks a broker for the checks of test/interop/kafka-checks.ts with librdkafka, one JSON line each."""

from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)

from kafka_harness import TARGET, check, main, new_name, same, until

BASE = {"bootstrap.servers": TARGET.plain, "log_level": 0}
ADMIN = AdminClient(BASE)


def made_topic(ends, partitions=1, **config):
    name = new_name()
    # The checks write times long past, which retention would take away.
    config = {"retention.ms": "-1", **config}
    ADMIN.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(30)
    ends.callback(lambda: ADMIN.delete_topics([name])[name].exception(30))
    until(name, lambda: name in ADMIN.list_topics(timeout=10).topics)
    return name


def produced(topic, *records, **config):
    """Sends records, each a dict for Producer.produce, and returns their offsets."""
    producer = Producer({**BASE, **config})
    offsets = []

    def done(error, message):
        if error is not None:
            raise KafkaException(error)
        offsets.append(message.offset())

    for record in records:
        producer.produce(topic, on_delivery=done, **record)
    same(producer.flush(30), 0)
    return offsets


def opened(ends, **config):
    consumer = Consumer(
        {
            **BASE,
            "group.id": new_name(),
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **({} if "group.protocol" in config else {"heartbeat.interval.ms": 200}),
            **config,
        }
    )
    ends.callback(consumer.close)
    return consumer


def taken(consumer, count):
    messages = []

    def attempt():
        message = consumer.poll(0.1)
        if message is not None:
            if message.error():
                raise KafkaException(message.error())
            messages.append(message)
        return len(messages) == count

    until(f"{count} messages", attempt)
    return messages


def read(ends, topic, count, offset=0, **config):
    consumer = opened(ends, **config)
    consumer.assign([TopicPartition(topic, 0, offset)])
    return taken(consumer, count)


def values(messages):
    return [message.value().decode() for message in messages]


def group(ends, **config):
    topic, name = made_topic(ends, 4), new_name()
    members = [opened(ends, **{"group.id": name}, **config) for _ in range(2)]
    for member in members:
        member.subscribe([topic])
    seen = []

    def poll():
        for member in members:
            message = member.poll(0.02)
            if message is not None and message.error() is None:
                seen.append(message.value().decode())

    def shares(*counts):
        poll()
        return sorted(len(member.assignment()) for member in members) == list(counts)

    until("two partitions each", lambda: shares(2, 2))
    for partition in range(4):
        produced(topic, *({"value": f"{partition}.{at}", "partition": partition} for at in range(5)))
    until("twenty messages", lambda: poll() or len(seen) == 20)
    same(len(set(seen)), 20)
    for member in members:
        member.commit(asynchronous=False)
    members.pop(0).close()
    until("four partitions for the other", lambda: shares(4))
    produced(topic, {"value": "last", "partition": 2})
    until("the last", lambda: poll() or seen[-1:] == ["last"])
    same(len(seen), 21)
    described = ADMIN.describe_consumer_groups([name])[name].result(30)
    same((described.state.name, len(described.members)), ("STABLE", 1))
    committed = members[0].committed([TopicPartition(topic, 3)], 10)
    same(committed[0].offset, 5)


check("group")(group)
check("group-consumer")(lambda ends: group(ends, **{"group.protocol": "consumer"}))
check("group-cooperative")(
    lambda ends: group(ends, **{"partition.assignment.strategy": "cooperative-sticky"})
)


@check("produce-consume")
def produce_consume(ends):
    topic = made_topic(ends)
    headers = [("h", b"one"), ("h", b"two"), ("none", None)]
    record = {"key": "key", "value": "välue ✓", "timestamp": 1_700_000_000_000, "headers": headers}
    same(produced(topic, record, {"value": None}), [0, 1])
    first, second = read(ends, topic, 2)
    same((first.key(), first.value().decode()), (b"key", "välue ✓"))
    same(first.timestamp(), (TIMESTAMP_CREATE_TIME, 1_700_000_000_000))
    same(first.headers(), headers)
    same((second.key(), second.value()), (None, None))


@check("codecs")
def codecs(ends):
    topic = made_topic(ends)
    wanted = []
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        batch = [f"{codec}{' ' * 100}{at}" for at in range(200)]
        wanted += batch
        produced(topic, *({"value": value} for value in batch), **{"compression.type": codec})
    same(values(read(ends, topic, len(wanted), **{"check.crcs": True})), wanted)
    same(values(read(ends, topic, 1, offset=555)), wanted[555:556])


@check("idempotent")
def idempotent(ends):
    topic = made_topic(ends)
    records = [{"value": str(at)} for at in range(1_000)]
    config = {"enable.idempotence": True, "batch.num.messages": 10}
    same(produced(topic, *records, **config), list(range(1_000)))
    same(values(read(ends, topic, 1_000)), [record["value"] for record in records])


@check("seek")
def seek(ends):
    topic = made_topic(ends)
    produced(topic, *({"value": str(at), "timestamp": 1 + at * 1_000} for at in range(10)))
    same(values(read(ends, topic, 1, offset=7)), ["7"])
    consumer = opened(ends)
    same(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10), (0, 10))
    for timestamp, offset in ((4_500, 5), (1, 0), (99_000, -1)):
        found = consumer.offsets_for_times([TopicPartition(topic, 0, timestamp)], timeout=10)
        same(found[0].offset, offset)
    consumer.assign([TopicPartition(topic, 0, 0)])
    taken(consumer, 2)
    consumer.seek(TopicPartition(topic, 0, 9))
    same(values(taken(consumer, 1)), ["9"])


@check("transaction")
def transaction(ends):
    topic, name = made_topic(ends), new_name()
    producer = Producer({**BASE, "transactional.id": name})
    producer.init_transactions(30)
    for at in range(3):
        producer.begin_transaction()
        producer.produce(topic, str(at))
        producer.flush(30)
        producer.abort_transaction(30) if at == 1 else producer.commit_transaction(30)
    committed = {"isolation.level": "read_committed"}
    same(values(read(ends, topic, 2, **committed)), ["0", "2"])
    uncommitted = {"isolation.level": "read_uncommitted"}
    same(values(read(ends, topic, 3, **uncommitted)), ["0", "1", "2"])
    younger = Producer({**BASE, "transactional.id": name})
    younger.init_transactions(30)
    producer.begin_transaction()
    try:
        producer.produce(topic, "fenced")
        producer.commit_transaction(30)
    except KafkaException as error:
        same(error.args[0].code(), KafkaError._FENCED)
    else:
        raise AssertionError("the older producer was not fenced")


@check("transaction-offsets")
def transaction_offsets(ends):
    source, target = made_topic(ends), made_topic(ends)
    produced(source, {"value": "a"}, {"value": "b"})
    consumer = opened(ends)
    consumer.subscribe([source])
    producer = Producer({**BASE, "transactional.id": new_name()})
    producer.init_transactions(30)
    for commits in (True, False):
        (message,) = taken(consumer, 1)
        producer.begin_transaction()
        producer.produce(target, message.value().upper())
        producer.send_offsets_to_transaction(
            [TopicPartition(source, 0, message.offset() + 1)],
            consumer.consumer_group_metadata(),
            30,
        )
        producer.commit_transaction(30) if commits else producer.abort_transaction(30)
    same(consumer.committed([TopicPartition(source, 0)], 30)[0].offset, 1)
    same(values(read(ends, target, 1, **{"isolation.level": "read_committed"})), ["A"])


@check("admin-topics")
def admin_topics(ends):
    topic = made_topic(ends)
    for name, code in ((topic, KafkaError.TOPIC_ALREADY_EXISTS), ("a b", KafkaError.TOPIC_EXCEPTION)):
        error = ADMIN.create_topics([NewTopic(name, 1, 1)])[name].exception(30)
        same(error.args[0].code(), code)
    ADMIN.create_partitions([NewPartitions(topic, 3)])[topic].result(30)
    until("partitions", lambda: len(ADMIN.list_topics(topic, 10).topics[topic].partitions) == 3)
    ADMIN.delete_topics([topic])[topic].result(30)
    until("no topic", lambda: topic not in ADMIN.list_topics(timeout=10).topics)
    cluster = ADMIN.describe_cluster().result(30)
    same((len(cluster.nodes), cluster.controller.id), (1, cluster.nodes[0].id))


@check("admin-configs")
def admin_configs(ends):
    topic = made_topic(ends, **{"retention.bytes": "1000000"})
    entry = ConfigEntry("retention.ms", "123456789", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    ADMIN.incremental_alter_configs([resource])[resource].result(30)

    def altered():
        asked = ConfigResource(ConfigResource.Type.TOPIC, topic)
        config = ADMIN.describe_configs([asked])[asked].result(30)
        return (config["retention.ms"].value, config["retention.bytes"].value) == (
            "123456789",
            "1000000",
        )

    until("altered configs", altered)


@check("admin-groups")
def admin_groups(ends):
    topic, name = made_topic(ends), new_name()
    partition = TopicPartition(topic, 0, 3, metadata="here")
    request = ConsumerGroupTopicPartitions(name, [partition])
    ADMIN.alter_consumer_group_offsets([request])[name].result(30)
    asked = ConsumerGroupTopicPartitions(name, [TopicPartition(topic, 0)])
    (seen,) = ADMIN.list_consumer_group_offsets([asked])[name].result(30).topic_partitions
    same((seen.offset, seen.metadata), (3, "here"))
    listed = ADMIN.list_consumer_groups().result(30)
    same([one.state.name for one in listed.valid if one.group_id == name], ["EMPTY"])
    ADMIN.delete_consumer_groups([name])[name].result(30)
    error = ADMIN.delete_consumer_groups([name])[name].exception(30)
    same(error.args[0].code(), KafkaError.GROUP_ID_NOT_FOUND)


@check("delete-records")
def delete_records(ends):
    topic = made_topic(ends)
    produced(topic, *({"value": value} for value in "abcd"))
    before = TopicPartition(topic, 0, 2)
    same(ADMIN.delete_records([before])[before].result(30).low_watermark, 2)
    same(values(read(ends, topic, 2, offset=0)), ["c", "d"])
    partition = TopicPartition(topic, 0)
    for spec, offset in ((OffsetSpec.earliest(), 2), (OffsetSpec.latest(), 4)):
        listed = ADMIN.list_offsets(
            {partition: spec}, isolation_level=IsolationLevel.READ_UNCOMMITTED
        )
        same(listed[partition].result(30).offset, offset)


def login(mechanism, password=TARGET.password, encrypted=False):
    return {
        "bootstrap.servers": TARGET.tls if encrypted else TARGET.sasl,
        "security.protocol": "SASL_SSL" if encrypted else "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism,
        "sasl.username": TARGET.user,
        "sasl.password": password,
        **({"ssl.ca.location": TARGET.ca_file} if encrypted else {}),
    }


def logged_in(ends, **config):
    topic = made_topic(ends)
    produced(topic, {"value": "secret"}, **config)
    same(values(read(ends, topic, 1, **config)), ["secret"])


check("sasl-plain")(lambda ends: logged_in(ends, **login("PLAIN")))
check("tls")(lambda ends: logged_in(ends, **login("PLAIN", encrypted=True)))


@check("sasl-scram")
def scram(ends):
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        logged_in(ends, **login(mechanism))


@check("wrong-password")
def wrong_password(_ends):
    errors = []
    config = {**BASE, **login("PLAIN", "wrong"), "error_cb": errors.append}
    producer = Producer(config)

    def refused():
        producer.poll(0.05)
        return any(error.code() == KafkaError._AUTHENTICATION for error in errors)

    until("the refusal", refused)


main()
