/**
 * Floods, silence, dripping octets, huge lengths, readers that do not read and declarations without end
 * against a broker with little memory:
 * health is told throughout, a client that is served goes on, and all is well afterwards.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { after, before, test, type TestContext } from 'node:test'
import amqplib, { type ChannelModel } from 'amqplib'
import { connectAsync } from 'mqtt'
import { waitFor } from '../../src/testing/wait-for.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { HealthWatch } from '../support/health-watch.ts'
import { RawClient } from '../support/raw-client.ts'
import type { Target } from '../support/target.ts'
import { ControlConnection } from './control-connection.ts'

const MIB = 1024 * 1024
const WITHIN_MS = 90_000
/** Of each listener but that of HTTP, which has its own. */
const CONNECTIONS_MAX = 400
const HTTP_CONNECTIONS_MAX = 1024

interface Attacked {
  readonly name: string
  readonly port: number
  /** A beginning that is never finished, an octet at a time. */
  readonly beginning: Buffer
  /** A length that nobody can mean. */
  readonly huge: Buffer
}

let broker: BrokerProcess
let control: ControlConnection
let target: Omit<Target, 'process'>
let httpPort: number
let all: readonly Attacked[]
/** They have longer to log in; looked at in the end. */
const slowKafka: Socket[] = []
let dripping: NodeJS.Timeout
const sockets = new Set<Socket>()

before(async () => {
  broker = new BrokerProcess({
    args: ['--set', `limits.connections=${CONNECTIONS_MAX}`],
    // A tenth of what Node would take.
    nodeFlags: ['--max-old-space-size=128'],
  })
  await broker.start()
  httpPort = broker.httpPort
  all = attacked()
  const url = `amqp://guest:guest@127.0.0.1:${broker.port}`
  target = { url, host: '127.0.0.1', port: broker.port, user: 'guest', password: 'guest' }
  control = await ControlConnection.open(
    { ...target, process: broker } satisfies Target,
    'overload',
  )
})

after(async () => {
  clearInterval(dripping)
  for (const socket of sockets) socket.destroy()
  await control[Symbol.asyncDispose]()
  await broker[Symbol.asyncDispose]()
})

/** Looked up once: what the broker writes later pushes out where it listens. */
function attacked(): readonly Attacked[] {
  const wsPort = Number(/mqtt-ws[^,}]*?127\.0\.0\.1:(\d+)/.exec(broker.output)?.[1])
  assert.ok(wsPort > 0, broker.output)
  const head = (path: string): Buffer =>
    Buffer.from(`GET ${path} HTTP/1.1\r\nHost: x\r\nX-Slow: ${'x'.repeat(500)}`)
  const int32 = Buffer.from([0x7f, 0xff, 0xff, 0xff])
  return [
    {
      ...{ name: 'amqp', port: broker.port, beginning: Buffer.from('AMQP\0\0\x09') },
      huge: Buffer.concat([Buffer.from('AMQP\0\0\x09\x01\x01\0\0'), int32]),
    },
    {
      ...{ name: 'mqtt', port: broker.mqttPort },
      beginning: Buffer.from('\x10\xff\x01\0\x04MQTT\x04\x02'),
      huge: Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]),
    },
    {
      ...{ name: 'mqtt-ws', port: wsPort, beginning: head('/mqtt') },
      huge: Buffer.from(`GET /mqtt HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(100_000)}`),
    },
    {
      ...{ name: 'kafka', port: broker.kafkaPort },
      beginning: Buffer.concat([Buffer.from([0, 0, 1, 0]), Buffer.alloc(250)]),
      huge: int32,
    },
    {
      ...{ name: 'http', port: broker.httpPort, beginning: head('/v1/status') },
      huge: Buffer.from(`POST / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(100_000)}`),
    },
  ]
}

function open(port: number): Socket {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  sockets.add(socket)
  // An end or a reset by the broker is what is wanted.
  socket.on('error', () => undefined)
  socket.on('end', () => socket.destroy())
  socket.on('close', () => sockets.delete(socket))
  socket.resume()
  return socket
}

function openMany(port: number, count: number): Socket[] {
  return Array.from({ length: count }, () => open(port))
}

async function untilClosed(list: readonly Socket[], what: string): Promise<void> {
  const left = (): number => list.filter((socket) => !socket.closed).length
  await waitFor(() => left() === 0, {
    timeoutMs: WITHIN_MS,
    expected: () => `no socket: ${what}`,
    found: () => `${left()} of ${list.length}`,
  })
}

function residentBytes(): number {
  const status = readFileSync(`/proc/${broker.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024
}

/** Runs the attack while health is asked for and the honest client works; tells what was seen. */
async function during(t: TestContext, attack: () => Promise<void>): Promise<void> {
  await using health = await HealthWatch.open(httpPort, broker.pid!)
  await attack()
  await control.progress()
  t.diagnostic(await health.verdict())
  const faults = broker.output.split('\n').filter((line) => /"level":"(error|fatal)"/.test(line))
  assert.deepEqual(faults, [])
}

test('sockets that say nothing, or an octet now and then, are ended', async (t) => {
  await during(t, async () => {
    const slow: Socket[] = []
    const drips: (() => void)[] = []
    for (const { name, port, beginning } of all) {
      const list = openMany(port, 100)
      for (const socket of list.slice(50)) {
        let at = 0
        drips.push(() => {
          if (socket.writable) socket.write(beginning.subarray(at, ++at))
        })
      }
      if (name === 'kafka') slowKafka.push(...list)
      else slow.push(...list)
    }
    dripping = setInterval(() => {
      for (const drip of drips) drip()
    }, 500)
    await untilClosed(slow, 'silent and dripping ones')
  })
})

test('sockets that end their half at once are ended', async (t) => {
  await during(t, async () => {
    const halves = all.flatMap(({ port }) => openMany(port, 100))
    for (const socket of halves) socket.end()
    await untilClosed(halves, 'half-open ones')
  })
})

test('a flood of connections beyond the limit keeps out nobody who was in, and goes by', async (t) => {
  await during(t, async () => {
    const floods: Socket[] = []
    for (const { name, port } of all) {
      const max = name === 'http' ? HTTP_CONNECTIONS_MAX : CONNECTIONS_MAX
      const flood = openMany(port, max + 200)
      floods.push(...flood)
      const closed = (): number => flood.filter((socket) => socket.closed).length
      await waitFor(() => closed() >= 150, {
        timeoutMs: WITHIN_MS,
        expected: () => `150 of ${name} too many to be closed`,
        found: () => String(closed()),
      })
    }
    for (const socket of floods) socket.destroy()
    // There is room again for everybody.
    for (const { name, port, huge } of all) {
      const socket = open(port)
      socket.write(huge)
      await untilClosed([socket], name)
    }
  })
})

test('lengths that nobody can mean cost no memory', async (t) => {
  const before = residentBytes()
  await during(t, async () => {
    const liars = all.flatMap(({ port, huge }) => {
      const list = openMany(port, 50)
      for (const socket of list) socket.write(huge)
      return list
    })
    await untilClosed(liars, 'those with a huge length')
  })
  const grown = residentBytes() - before
  t.diagnostic(`memory grew by ${(grown / MIB).toFixed(0)} MiB`)
  assert.ok(grown < 96 * MIB, `${grown} bytes`)
})

const BODY = Buffer.alloc(16 * 1024)
/** 24 MiB, a multiple of what the broker keeps for all of these readers. */
const BODIES = 1500

test('readers that do not read hold up nobody, and what is theirs waits', async (t) => {
  const url = `amqp://guest:guest@127.0.0.1:${broker.port}`
  const publisher = await amqplib.connect(url)
  const readers: ChannelModel[] = []
  const devices: Awaited<ReturnType<typeof connectAsync>>[] = []
  await during(t, async () => {
    const channel = await publisher.createConfirmChannel()
    await channel.assertQueue('unread')
    await channel.bindQueue('unread', 'amq.topic', 'flood')
    for (let n = 0; n < 3; n++) {
      // Its timers would outlive the socket by minutes.
      const reader = await amqplib.connect(`${url}?heartbeat=0`)
      readers.push(reader)
      reader.on('error', () => undefined)
      const own = await reader.createChannel()
      await own.consume('unread', () => undefined, { noAck: n === 0 })
      streamOf(reader).pause()
    }
    for (const qos of [0, 1] as const) {
      const device = await connectAsync(`mqtt://127.0.0.1:${broker.mqttPort}`, {
        reconnectPeriod: 0,
      })
      devices.push(device)
      device.on('error', () => undefined)
      await device.subscribeAsync('flood', { qos })
      device.stream.pause()
    }
    for (let n = 0; n < BODIES; n++) channel.publish('amq.topic', 'flood', BODY)
    await channel.waitForConfirms()
  })
  for (const device of devices) await device.endAsync(true)
  for (const reader of readers) streamOf(reader).destroy()
  const channel = await publisher.createChannel()
  await waitFor(async () => (await channel.checkQueue('unread')).consumerCount === 0, {
    timeoutMs: WITHIN_MS,
    expected: () => 'no consumer',
    found: () => 'some',
  })
  const { messageCount } = await channel.deleteQueue('unread')
  // The first reader acknowledges by nothing: what was written to it counts as read.
  assert.ok(messageCount > BODIES / 2 && messageCount <= BODIES, String(messageCount))
  await publisher.close()
})

function streamOf({ connection }: ChannelModel): Socket {
  return (connection as unknown as { readonly stream: Socket }).stream
}

/** Each waits for the disk; more than go at once when their queue does. */
const BINDINGS_MAX = 2000

test('a client that binds without end is stopped, and its bindings go again', async (t) => {
  const limits = `http://127.0.0.1:${httpPort}/v1/vhosts/%2F/limits`
  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
  const answer = await fetch(limits, {
    method: 'PUT',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ 'max-bindings': BINDINGS_MAX }),
  })
  assert.ok(answer.ok)
  const client = await RawClient.open({ ...target, process: broker })
  await client.openChannel(1)
  client.sendMethod(1, { name: 'queue.declare', queue: 'bound', durable: true })
  await client.method('queue.declare-ok')
  await during(t, async () => {
    for (let n = 0; n <= BINDINGS_MAX; n++) {
      const routingKey = `key.${n}`
      const binding = { queue: 'bound', exchange: 'amq.topic', routingKey, nowait: true } as const
      client.sendMethod(1, { name: 'queue.bind', ...binding })
    }
    const { replyText } = await client.method('channel.close', WITHIN_MS)
    assert.match(replyText, /binding limit in vhost '\/' \(2000\) is reached/)
    client.sendMethod(1, { name: 'channel.close-ok' })
    await client.openChannel(2)
    client.sendMethod(2, { name: 'queue.delete', queue: 'bound' })
    await client.method('queue.delete-ok', WITHIN_MS)
    client.sendMethod(2, { name: 'queue.declare', queue: 'bound' })
    await client.method('queue.declare-ok')
    client.sendMethod(2, {
      name: 'queue.bind',
      queue: 'bound',
      exchange: 'amq.topic',
      routingKey: 'a',
    })
    await client.method('queue.bind-ok')
  })
  client.destroy()
})

test('those that have not logged in to Kafka are ended too', async (t) => {
  await during(t, async () => untilClosed(slowKafka, 'silent and dripping ones of Kafka'))
})
