/** Apache Kafka's command line tools, as its distribution starts them. */
import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import readline from 'node:readline'
import { after, test } from 'node:test'

import { closeKafka, openKafka } from '../support/kafka-target.ts'
import { output as commandOutput } from './kafka-command.ts'
import { kafkaClassPath } from './kafka-jars.ts'

const LAUNCHER = path.join(import.meta.dirname, 'java/kafka-tools/Tools.java')
const TOOLS = 'org.apache.kafka.tools'

/** The class behind each of the distribution's scripts. */
const CLASSES = {
  'kafka-acls': `${TOOLS}.AclCommand`,
  'kafka-broker-api-versions': `${TOOLS}.BrokerApiVersionsCommand`,
  'kafka-cluster': `${TOOLS}.ClusterTool`,
  'kafka-configs': 'kafka.admin.ConfigCommand',
  'kafka-console-consumer': `${TOOLS}.consumer.ConsoleConsumer`,
  'kafka-console-producer': `${TOOLS}.ConsoleProducer`,
  'kafka-console-share-consumer': `${TOOLS}.consumer.ConsoleShareConsumer`,
  'kafka-consumer-groups': `${TOOLS}.consumer.group.ConsumerGroupCommand`,
  'kafka-consumer-perf-test': `${TOOLS}.ConsumerPerformance`,
  'kafka-delete-records': `${TOOLS}.DeleteRecordsCommand`,
  'kafka-get-offsets': `${TOOLS}.GetOffsetShell`,
  'kafka-groups': `${TOOLS}.GroupsCommand`,
  'kafka-log-dirs': `${TOOLS}.LogDirsCommand`,
  'kafka-producer-perf-test': `${TOOLS}.ProducerPerformance`,
  'kafka-share-groups': `${TOOLS}.consumer.group.ShareGroupCommand`,
  'kafka-topics': `${TOOLS}.TopicCommand`,
  'kafka-transactions': `${TOOLS}.TransactionsCommand`,
  'kafka-verifiable-consumer': `${TOOLS}.VerifiableConsumer`,
  'kafka-verifiable-producer': `${TOOLS}.VerifiableProducer`,
} as const

type Tool = keyof typeof CLASSES

const jars = kafkaClassPath()
const skip =
  'absent' in jars ? `Kafka is absent: ${jars.absent} (test/interop/setup.sh fetches it)` : false
const folder = mkdtempSync(path.join(tmpdir(), 'waystation-kafka-tools-'))
let launcher: ChildProcessWithoutNullStreams | null = null
let answers: AsyncIterator<string> | null = null
let log = ''

after(async () => {
  launcher?.kill('SIGKILL')
  rmSync(folder, { recursive: true })
  await closeKafka()
})

interface Ended {
  readonly code: number
  readonly output: string
}

/** Runs one tool; `input` is what it reads. */
async function run(tool: Tool, args: readonly string[], input = ''): Promise<Ended> {
  assert.ok(!('absent' in jars))
  if (launcher === null) {
    // One source file needs no build: java compiles it in memory.
    const command = [...jars.options, '-cp', jars.classPath, LAUNCHER]
    launcher = spawn('java', command, { stdio: 'pipe' })
    launcher.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString()
    })
    answers = readline.createInterface({ input: launcher.stdout })[Symbol.asyncIterator]()
  }
  const encoded = Buffer.from(input).toString('base64')
  launcher.stdin.write(`${[encoded, CLASSES[tool], ...args].join('\t')}\n`)
  const answer = await answers!.next()
  assert.ok(answer.done !== true, `java has ended: ${log}`)
  const [code = '', output = ''] = answer.value.split(' ')
  return { code: Number(code), output: Buffer.from(output, 'base64').toString() }
}

/** What a tool prints that ends well. */
async function output(tool: Tool, args: string, input = ''): Promise<string> {
  const { plain } = await openKafka()
  const server = ['--bootstrap-server', plain]
  const given = args.split(' ')
  // One names the broker in its own way, and the other only behind its subcommand.
  const all: Partial<Record<Tool, readonly string[]>> = {
    'kafka-producer-perf-test': given,
    'kafka-cluster': [...given, ...server],
  }
  const ended = await run(tool, all[tool] ?? [...server, ...given], input)
  assert.equal(ended.code, 0, `${tool} ${args}: ${ended.output}`)
  return ended.output
}

/** The same in a Java machine of its own, for tools that do their work when it ends. */
async function separately(tool: Tool, args: string): Promise<string> {
  assert.ok(!('absent' in jars))
  const java = ['java', ...jars.options, '-cp', jars.classPath, CLASSES[tool]]
  const { plain } = await openKafka()
  return commandOutput([...java, '--bootstrap-server', plain, ...args.split(' ')])
}

function newName(): string {
  return `ws-tools-${randomBytes(6).toString('hex')}`
}

async function newTopic(partitions = 1): Promise<string> {
  const topic = newName()
  const created = await output(
    'kafka-topics',
    `--create --topic ${topic} --partitions ${partitions} --replication-factor 1`,
  )
  assert.match(created, new RegExp(`Created topic ${topic}\\.`))
  return topic
}

async function produce(topic: string, ...values: readonly string[]): Promise<void> {
  await output('kafka-console-producer', `--topic ${topic}`, `${values.join('\n')}\n`)
}

/** The cells of a table that a tool prints, without its head. */
function rows(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => line.trim().split(/\s+/))
}

test('kafka-topics', { skip }, async () => {
  const topic = await newTopic(2)
  assert.ok((await output('kafka-topics', '--list')).split('\n').includes(topic))
  await output('kafka-topics', `--alter --topic ${topic} --partitions 3`)
  const described = await output('kafka-topics', `--describe --topic ${topic}`)
  assert.match(described, /PartitionCount: 3\s+ReplicationFactor: 1/)
  assert.equal(described.match(/Partition: \d/g)?.length, 3)
  const { plain } = await openKafka()
  const again = ['--bootstrap-server', plain, '--create', '--topic', topic]
  const refused = await run('kafka-topics', again)
  assert.equal(refused.code, 1)
  assert.match(refused.output, /already exists/)
  await output('kafka-topics', `--delete --topic ${topic}`)
  const missing = ['--bootstrap-server', plain, '--describe', '--topic', topic]
  assert.match((await run('kafka-topics', missing)).output, /does not exist as expected/)
})

test('kafka-console-producer and kafka-console-consumer', { skip }, async () => {
  const topic = await newTopic()
  const reader = '--reader-property parse.key=true --reader-property parse.headers=true'
  await output(
    'kafka-console-producer',
    `--topic ${topic} --compression-codec zstd ${reader} --sync`,
    'h:one,i:two\tkey\tvälue ✓\nh:x\tother\tsecond\n',
  )
  const formatter = ['key', 'headers', 'offset', 'partition', 'timestamp']
    .map((name) => `--formatter-property print.${name}=true`)
    .join(' ')
  const options = `--from-beginning --max-messages 2 --timeout-ms 20000 ${formatter}`
  const printed = await output('kafka-console-consumer', `--topic ${topic} ${options}`)
  assert.match(printed, /CreateTime:\d+\tPartition:0\tOffset:0\th:one,i:two\tkey\tvälue ✓\n/)
  assert.match(printed, /Offset:1\th:x\tother\tsecond\n/)
})

test('kafka-consumer-groups and kafka-groups', { skip }, async () => {
  const topic = await newTopic()
  const group = newName()
  await produce(topic, 'a', 'b', 'c')
  const read = `--topic ${topic} --group ${group} --from-beginning --timeout-ms 20000`
  assert.match(await output('kafka-console-consumer', `${read} --max-messages 2`), /^a\nb\n/m)
  const listed = await output('kafka-consumer-groups', '--list')
  assert.ok(listed.split('\n').includes(group))
  const describe = async (): Promise<string[]> => {
    const described = await output('kafka-consumer-groups', `--describe --group ${group}`)
    return rows(described).find((row) => row[1] === topic) ?? []
  }
  // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG
  assert.deepEqual((await describe()).slice(0, 6), [group, topic, '0', '2', '3', '1'])
  const state = await output('kafka-consumer-groups', `--describe --group ${group} --state`)
  assert.match(state, /Empty\s+0/)
  const reset = `--group ${group} --topic ${topic} --reset-offsets --to-earliest --execute`
  assert.match(await output('kafka-consumer-groups', reset), new RegExp(`${topic}\\s+0\\s+0`))
  assert.deepEqual((await describe()).slice(3, 6), ['0', '3', '3'])
  assert.match(
    await output('kafka-groups', '--list'),
    new RegExp(`${group}\\s+Classic\\s+consumer`),
  )
  await output('kafka-consumer-groups', `--delete-offsets --group ${group} --topic ${topic}`)
  await output('kafka-consumer-groups', `--delete --group ${group}`)
  assert.ok(!(await output('kafka-consumer-groups', '--list')).includes(group))
})

test('kafka-configs', { skip }, async () => {
  const topic = await newTopic()
  const entity = `--entity-type topics --entity-name ${topic}`
  await output('kafka-configs', `${entity} --alter --add-config retention.ms=1234567,segment.ms=99`)
  const described = await output('kafka-configs', `${entity} --describe`)
  assert.match(described, /retention\.ms=1234567 sensitive=false/)
  await output('kafka-configs', `${entity} --alter --delete-config segment.ms`)
  assert.doesNotMatch(await output('kafka-configs', `${entity} --describe`), /segment\.ms/)
  assert.match(
    await output('kafka-configs', `${entity} --describe --all`),
    /cleanup\.policy=delete/,
  )
  const group = `--entity-type groups --entity-name ${newName()}`
  await output('kafka-configs', `${group} --alter --add-config share.auto.offset.reset=earliest`)
  assert.match(await output('kafka-configs', `${group} --describe`), /share\.auto\.offset\.reset/)
})

test('kafka-get-offsets and kafka-delete-records', { skip }, async () => {
  const topic = await newTopic()
  await produce(topic, 'a', 'b', 'c')
  const file = path.join(folder, 'delete.json')
  const partitions = [{ topic, partition: 0, offset: 2 }]
  writeFileSync(file, JSON.stringify({ version: 1, partitions }))
  const deleted = await output('kafka-delete-records', `--offset-json-file ${file}`)
  assert.match(deleted, new RegExp(`partition: ${topic}-0\\s+low_watermark: 2`))
  for (const [time, offset] of [
    ['earliest', 2],
    ['latest', 3],
  ] as const) {
    const listed = await output('kafka-get-offsets', `--topic ${topic} --time ${time}`)
    assert.equal(listed.trim(), `${topic}:0:${offset}`, time)
  }
})

test('kafka-producer-perf-test and kafka-consumer-perf-test', { skip }, async () => {
  const topic = await newTopic()
  const { plain } = await openKafka()
  const settings = `bootstrap.servers=${plain} acks=all compression.type=lz4`
  const sent = await output(
    'kafka-producer-perf-test',
    `--topic ${topic} --num-records 5000 --record-size 100 --throughput -1 --producer-props ${settings}`,
  )
  assert.match(sent, /^5000 records sent/m)
  const read = await output(
    'kafka-consumer-perf-test',
    `--topic ${topic} --num-records 5000 --timeout 20000`,
  )
  const head = read.split('\n').find((line) => line.startsWith('start.time')) ?? ''
  const at = head.split(', ').indexOf('data.consumed.in.nMsg')
  assert.ok(Number(rows(read).at(-1)?.[at + 2]?.replace(',', '')) >= 5_000, read)
})

test('kafka-verifiable-producer and kafka-verifiable-consumer', { skip }, async () => {
  const topic = await newTopic()
  const options = `--topic ${topic} --max-messages 50`
  const sent = await separately('kafka-verifiable-producer', `${options} --acks -1`)
  assert.equal(sent.match(/"name":"producer_send_success"/g)?.length, 50)
  assert.match(sent, /"acked":50/)
  for (const protocol of ['classic', 'consumer']) {
    const group = `--group-id ${newName()} --group-protocol ${protocol}`
    const begin = '--reset-policy earliest'
    const read = await separately('kafka-verifiable-consumer', `${options} ${group} ${begin}`)
    const counts = [...read.matchAll(/"name":"records_consumed".*?"count":(\d+)/g)]
    assert.equal(
      counts.reduce((sum, [, count]) => sum + Number(count), 0),
      50,
      read,
    )
    assert.match(read, /"name":"offsets_committed"/)
  }
})

test('kafka-console-share-consumer and kafka-share-groups', { skip }, async () => {
  const topic = await newTopic()
  const group = newName()
  const entity = `--entity-type groups --entity-name ${group}`
  await output('kafka-configs', `${entity} --alter --add-config share.auto.offset.reset=earliest`)
  await produce(topic, 'a', 'b')
  const options = `--topic ${topic} --group ${group} --max-messages 2 --timeout-ms 20000`
  assert.match(await output('kafka-console-share-consumer', options), /^a\nb\n/m)
  assert.ok((await output('kafka-share-groups', '--list')).split('\n').includes(group))
  const described = await output('kafka-share-groups', `--describe --group ${group}`)
  // GROUP TOPIC PARTITION START-OFFSET LAG
  const row = rows(described).find((cells) => cells[1] === topic)
  assert.deepEqual(row?.slice(0, 3), [group, topic, '0'])
  await output('kafka-share-groups', `--delete --group ${group}`)
})

test(
  'kafka-cluster, kafka-broker-api-versions, kafka-log-dirs, kafka-transactions',
  { skip },
  async () => {
    const topic = await newTopic()
    await produce(topic, 'a')
    assert.match(await output('kafka-cluster', 'cluster-id'), /Cluster ID: \S{22}\n/)
    const versions = await output('kafka-broker-api-versions', '--command-config /dev/null')
    assert.match(versions, /Produce\(0\): 0 to \d+ \[usable: \d+\]/)
    const folders = await output('kafka-log-dirs', `--describe --topic-list ${topic}`)
    assert.match(folders, new RegExp(`"partition":"${topic}-0","size":[1-9]`))
    await output('kafka-transactions', 'list')
  },
)
