/**
 * How long a Kafka group takes to rebalance: `node bench/micro/kafka-rebalance.ts [members] [topics]`.
 *
 * Every member of a classic group subscribes to all topics by name, so the leader is told megabytes.
 * Broker and members share this process, over loopback. Members join again at once: what clients
 * wait for their next heartbeat, 3 s with most, comes on top.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { startBroker } from '../../src/server/index.ts'
import { ClassicMember } from '../../test/support/kafka-members.ts'
import { KafkaPeer } from '../../test/support/kafka-peer.ts'

const PARTITION_COUNT = 4
const TOPICS_PER_REQUEST = 100
const ASSIGNMENT_BYTES = 1_000
const NO_USER_DATA = Buffer.from([0xff, 0xff, 0xff, 0xff])

const memberCount = Number(process.argv[2] ?? 100)
const topicCount = Number(process.argv[3] ?? 1_000)
const names = Array.from({ length: topicCount }, (_, index) => `topic-${index}`)

/** What a consumer tells its group: version 0, the topics, no user data. */
function subscription(): Buffer {
  const head = Buffer.alloc(6)
  head.writeInt32BE(names.length, 2)
  const fields = names.map((name) => {
    const size = Buffer.alloc(2)
    size.writeInt16BE(name.length)
    return Buffer.concat([size, Buffer.from(name)])
  })
  return Buffer.concat([head, ...fields, NO_USER_DATA])
}

async function timed(what: string, work: () => Promise<void>): Promise<void> {
  const startMs = performance.now()
  await work()
  console.log(`${what.padEnd(44)} ${(performance.now() - startMs).toFixed(0).padStart(6)} ms`)
}

async function createTopics(peer: KafkaPeer): Promise<void> {
  for (let from = 0; from < names.length; from += TOPICS_PER_REQUEST) {
    const topics = names.slice(from, from + TOPICS_PER_REQUEST).map((name) => {
      const counts = { numPartitions: PARTITION_COUNT, replicationFactor: -1 }
      return { name, ...counts, assignments: [], configs: [] }
    })
    await peer.call('CreateTopics', 7, { topics, timeoutMs: 60_000 })
  }
}

/** All join, and the leader assigns. */
async function rebalance(members: readonly ClassicMember[]): Promise<void> {
  const joined = await Promise.all(members.map(async (member) => member.join()))
  const text = 'x'.repeat(ASSIGNMENT_BYTES)
  const plan = Object.fromEntries(members.map(({ memberId }) => [memberId, text]))
  const leaderId = joined[0]!.leader
  await Promise.all(
    members.map(async (member) => member.sync(member.memberId === leaderId ? plan : {})),
  )
}

async function main(): Promise<void> {
  const data = mkdtempSync(path.join(tmpdir(), 'waystation-bench-'))
  const broker = await startBroker({ listen: { amqp: false, kafka: 0 }, data })
  const port = broker.port('kafka')
  const metadata = subscription()
  const peers: KafkaPeer[] = []
  const connect = async (): Promise<KafkaPeer> => {
    const peer = await KafkaPeer.connect(port)
    peers.push(peer)
    return peer
  }
  const enter = async (): Promise<ClassicMember> => {
    const member = new ClassicMember(await connect(), { metadata, sessionTimeoutMs: 45_000 })
    await member.enter()
    return member
  }
  const admin = await connect()
  await timed(`create ${topicCount} topics of ${PARTITION_COUNT} partitions`, async () =>
    createTopics(admin),
  )
  const members = await Promise.all(Array.from({ length: memberCount }, enter))
  await timed(`first rebalance of ${memberCount} members`, async () => rebalance(members))
  members.push(await enter())
  await timed(`one more member: all ${members.length} join again`, async () => rebalance(members))
  for (const peer of peers) peer.close()
  await broker.close()
  rmSync(data, { recursive: true, force: true })
}

await main()
