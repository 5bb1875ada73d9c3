"""Asks a broker for the checks of test/interop/kafka-checks.ts with kafka-python, one JSON line each."""

from kafka import (
    IsolationLevel,
    KafkaAdminClient,
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    OffsetSpec,
    TopicPartition,
)
from kafka.admin import ConfigResource
from kafka.errors import (
    InvalidTopicError,
    KafkaError,
    KafkaTimeoutError,
    TopicAlreadyExistsError,
)

from kafka_harness import TARGET, check, main, new_name, same, until


def admin(ends):
    client = KafkaAdminClient(bootstrap_servers=TARGET.plain)
    ends.callback(client.close)
    return client


def made_topic(ends, partitions=1):
    client = admin(ends)
    name = new_name()
    # The checks write times long past, which retention would take away.
    configs = {"retention.ms": "-1"}
    options = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
    client.create_topics({name: options}, wait_for_metadata=True)
    ends.callback(lambda: client.delete_topics([name], raise_errors=False))
    return name


def producer_of(ends, **config):
    producer = KafkaProducer(**{"bootstrap_servers": TARGET.plain, **config})
    ends.callback(lambda: producer.close(timeout=5))
    return producer


def produced(ends, topic, *values, **config):
    producer = producer_of(ends, **config)
    sent = [producer.send(topic, value, partition=0) for value in values]
    producer.flush(30)
    return [one.get(30).offset for one in sent]


def opened(ends, **config):
    consumer = KafkaConsumer(
        **{
            "bootstrap_servers": TARGET.plain,
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "heartbeat_interval_ms": 200,
            **config,
        }
    )
    ends.callback(consumer.close)
    return consumer


def taken(consumer, count):
    records = []

    def attempt():
        for some in consumer.poll(100).values():
            records.extend(some)
        return len(records) >= count

    until(f"{count} records", attempt)
    return records


def read(ends, topic, count, offset=0, **config):
    consumer = opened(ends, **config)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek(partition, offset)
    return taken(consumer, count)


def values(records):
    return [record.value.decode() for record in records]


@check("group")
def group(ends):
    topic, name = made_topic(ends, 4), new_name()
    members = [opened(ends, group_id=name) for _ in range(2)]
    for member in members:
        member.subscribe([topic])
    seen = []

    # Long enough to finish a join in one poll: one given up half-way is begun anew, and a leader
    # that joins anew makes everybody join anew.
    def poll():
        for member in members:
            for records in member.poll(500).values():
                seen.extend(values(records))

    def shares(*counts):
        poll()
        return sorted(len(member.assignment()) for member in members) == list(counts)

    until("two partitions each", lambda: shares(2, 2))
    producer = producer_of(ends)
    for at in range(20):
        producer.send(topic, str(at).encode(), partition=at % 4)
    producer.flush(30)
    until("twenty records", lambda: poll() or len(seen) == 20)
    for member in members:
        member.commit()
    members.pop(0).close()
    until("four partitions for the other", lambda: shares(4))
    producer.send(topic, b"last", partition=2).get(30)
    until("the last", lambda: poll() or seen[-1:] == ["last"])
    same((len(seen), len(set(seen))), (21, 21))
    described = admin(ends).describe_groups([name])[name]
    same((described["group_state"], len(described["members"])), ("Stable", 1))
    same(members[0].committed(TopicPartition(topic, 3)), 5)


@check("produce-consume")
def produce_consume(ends):
    topic = made_topic(ends)
    headers = [("h", b"one"), ("h", b"two"), ("empty", b"")]
    producer = producer_of(ends)
    sent = producer.send(
        topic, "välue ✓".encode(), b"key", headers=headers, timestamp_ms=1_700_000_000_000
    ).get(30)
    same((sent.partition, sent.offset), (0, 0))
    producer.send(topic, None, b"deleted").get(30)
    first, second = read(ends, topic, 2)
    same((first.key, first.value.decode()), (b"key", "välue ✓"))
    same((first.timestamp, list(first.headers)), (1_700_000_000_000, headers))
    same((second.key, second.value, second.offset), (b"deleted", None, 1))


@check("codecs")
def codecs(ends):
    topic = made_topic(ends)
    wanted = []
    for codec in (None, "gzip", "snappy", "lz4", "zstd"):
        batch = [f"{codec}{' ' * 100}{at}" for at in range(200)]
        wanted += batch
        produced(ends, topic, *(value.encode() for value in batch), compression_type=codec)
    same(values(read(ends, topic, len(wanted))), wanted)
    same(values(read(ends, topic, 1, offset=555))[0], wanted[555])


@check("idempotent")
def idempotent(ends):
    topic = made_topic(ends)
    sent = [str(at).encode() for at in range(500)]
    config = {"enable_idempotence": True, "batch_size": 100}
    same(produced(ends, topic, *sent, **config), list(range(500)))
    same([record.value for record in read(ends, topic, 500)], sent)


@check("seek")
def seek(ends):
    topic = made_topic(ends)
    producer = producer_of(ends)
    for at in range(10):
        producer.send(topic, str(at).encode(), timestamp_ms=at * 1_000).get(30)
    consumer = opened(ends)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek(partition, 7)
    same(values(taken(consumer, 1))[0], "7")
    consumer.seek_to_beginning(partition)
    same(values(taken(consumer, 1))[0], "0")
    same(consumer.beginning_offsets([partition])[partition], 0)
    same(consumer.end_offsets([partition])[partition], 10)
    found = consumer.offsets_for_times({partition: 4_500})[partition]
    same((found.offset, found.timestamp), (5, 5_000))
    same(consumer.offsets_for_times({partition: 99_000})[partition], None)


@check("transaction")
def transaction(ends):
    topic, name = made_topic(ends), new_name()
    producer = producer_of(ends, transactional_id=name)
    producer.init_transactions()
    for at in range(3):
        producer.begin_transaction()
        producer.send(topic, str(at).encode()).get(30)
        producer.abort_transaction() if at == 1 else producer.commit_transaction()
    same(values(read(ends, topic, 2, isolation_level="read_committed")), ["0", "2"])
    same(values(read(ends, topic, 3)), ["0", "1", "2"])
    younger = producer_of(ends, transactional_id=name)
    younger.init_transactions()
    producer.begin_transaction()
    try:
        producer.send(topic, b"fenced").get(30)
        producer.commit_transaction()
    except KafkaError:
        pass
    else:
        raise AssertionError("the older producer was not fenced")
    same(values(read(ends, topic, 2, isolation_level="read_committed")), ["0", "2"])


@check("transaction-offsets")
def transaction_offsets(ends):
    source, target = made_topic(ends), made_topic(ends)
    produced(ends, source, b"a", b"b")
    partition = TopicPartition(source, 0)
    consumer = opened(ends, group_id=new_name(), max_poll_records=1)
    consumer.subscribe([source])
    producer = producer_of(ends, transactional_id=new_name())
    producer.init_transactions()
    for commits in (True, False):
        record = taken(consumer, 1)[0]
        producer.begin_transaction()
        producer.send(target, record.value.upper()).get(30)
        offsets = {partition: OffsetAndMetadata(record.offset + 1, "", -1)}
        producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
        producer.commit_transaction() if commits else producer.abort_transaction()
    same(consumer.committed(partition), 1)
    same(values(read(ends, target, 1, isolation_level="read_committed")), ["A"])


@check("admin-topics")
def admin_topics(ends):
    client = admin(ends)
    topic = made_topic(ends)
    for name, wanted in ((topic, TopicAlreadyExistsError), ("a b", InvalidTopicError)):
        try:
            client.create_topics({name: {"num_partitions": 1, "replication_factor": 1}})
        except wanted:
            continue
        raise AssertionError(f"{wanted.__name__} was expected")
    client.create_partitions({topic: 3})
    until("partitions", lambda: len(client.describe_topics([topic])[0]["partitions"]) == 3)
    client.delete_topics([topic])
    until("no topic", lambda: topic not in client.list_topics())
    cluster = client.describe_cluster()
    same(len(cluster["brokers"]), 1)


@check("admin-configs")
def admin_configs(ends):
    client = admin(ends)
    topic = made_topic(ends)
    client.alter_configs([ConfigResource("TOPIC", topic, {"retention.ms": "123456789"})])

    def altered():
        described = client.describe_configs([ConfigResource("TOPIC", topic)])
        entry = described["topic"][topic].get("retention.ms")
        return entry is not None and entry["value"] == "123456789"

    until("the altered config", altered)


@check("admin-groups")
def admin_groups(ends):
    client = admin(ends)
    topic, name = made_topic(ends), new_name()
    produced(ends, topic, b"a", b"b", b"c", b"d")
    partition = TopicPartition(topic, 0)
    client.alter_group_offsets(name, {partition: OffsetAndMetadata(3, "here", -1)})
    seen = client.list_group_offsets({name: [partition]})[name][partition]
    same((seen.offset, seen.metadata), (3, "here"))
    listed = [one for one in client.list_groups() if one["group_id"] == name]
    same(listed[0]["group_state"], "Empty")
    client.delete_group_offsets(name, [partition])
    client.delete_groups([name])
    same(client.delete_groups([name])[name], "GroupIdNotFoundError")


@check("delete-records")
def delete_records(ends):
    client = admin(ends)
    topic = made_topic(ends)
    produced(ends, topic, b"a", b"b", b"c", b"d")
    partition = TopicPartition(topic, 0)
    client.delete_records({partition: 2})
    same(values(read(ends, topic, 2, offset=2)), ["c", "d"])
    level = IsolationLevel.READ_COMMITTED
    for spec, offset in ((OffsetSpec.EARLIEST, 2), (OffsetSpec.LATEST, 4)):
        same(client.list_partition_offsets({partition: spec}, level)[partition].offset, offset)


def login(mechanism, password=TARGET.password, encrypted=False):
    return {
        "bootstrap_servers": TARGET.tls if encrypted else TARGET.sasl,
        "security_protocol": "SASL_SSL" if encrypted else "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": TARGET.user,
        "sasl_plain_password": password,
        **({"ssl_cafile": TARGET.ca_file} if encrypted else {}),
    }


def logged_in(ends, **config):
    topic = made_topic(ends)
    produced(ends, topic, b"secret", **config)
    same(values(read(ends, topic, 1, **config)), ["secret"])


check("sasl-plain")(lambda ends: logged_in(ends, **login("PLAIN")))
check("tls")(lambda ends: logged_in(ends, **login("PLAIN", encrypted=True)))


@check("sasl-scram")
def scram(ends):
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        logged_in(ends, **login(mechanism))


@check("wrong-password")
def wrong_password(ends):
    try:
        # It tries again until then, and keeps the reason to its log.
        producer_of(ends, bootstrap_timeout_ms=1_500, **login("PLAIN", "wrong"))
    except KafkaTimeoutError:
        return
    raise AssertionError("a wrong password was not refused")


main()
