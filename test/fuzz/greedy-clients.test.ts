/**
 * Clients that keep to the grammar and ask for too much: they must cost the broker a bounded
 * amount of memory, and the honest client beside them nothing but patience.
 */
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MethodInput } from '../../src/codec/amqp091/index.ts'
import { FuzzArena } from './fuzz-arena.ts'
import { FuzzPeer, type PeerOptions } from './fuzz-peer.ts'
import { memoryPeak } from './memory-peak.ts'
import { body, bytesOf, header, method, type Piece } from './pieces.ts'
import { handshake } from './sessions.ts'

const MIB = 1024 * 1024
const ARRIVES_WITHIN_MS = 20_000

let arena: FuzzArena
before(async () => {
  arena = await FuzzArena.open('greedy')
})
after(async () => arena[Symbol.asyncDispose]())

/** The attackers of the test that runs. */
const peers: FuzzPeer[] = []
// They end, and nothing of them stays.
afterEach(async () => {
  for (const peer of peers.splice(0)) peer.destroy()
  await arena.checkHealth()
  await arena.watch?.untilConnections(1, 15_000)
  await arena.deleteLeftovers()
})

function bytesOfAll(pieces: readonly Piece[]): Buffer {
  return Buffer.concat(pieces.map(bytesOf))
}

async function connect(options: PeerOptions = {}): Promise<FuzzPeer> {
  const peer = await FuzzPeer.connect(arena.target, options)
  peers.push(peer)
  return peer
}

/** A connection with open channels, if it reads: otherwise they are on their way. */
async function shaken(options: PeerOptions = {}, channels = 1): Promise<FuzzPeer> {
  const peer = await connect(options)
  const opens = Array.from({ length: channels }, (_one, index) => {
    return method(index + 1, { name: 'channel.open' })
  })
  peer.write(bytesOfAll([...handshake(arena.target), ...opens]))
  if (options.reads ?? true) await arrived(peer, 'channel.open-ok', channels)
  return peer
}

async function arrived(peer: FuzzPeer, name: string, count = 1): Promise<void> {
  const came = await peer.until(() => peer.count(name) >= count, ARRIVES_WITHIN_MS)
  const refusals = JSON.stringify(peer.refusals)
  assert.ok(came, `${peer.count(name)} of ${count} ${name}, refusals: ${refusals}`)
}

function ask(peer: FuzzPeer, channel: number, ...inputs: MethodInput[]): void {
  peer.write(bytesOfAll(inputs.map((input) => method(channel, input))))
}

function message(channel: number, key: string, size: number, mandatory = false): Buffer {
  return bytesOfAll([
    method(channel, { name: 'basic.publish', exchange: '', routingKey: key, mandatory }),
    header(channel, size),
    body(channel, Buffer.alloc(size, 'greed')),
  ])
}

/** Limits leave room over what was measured: a fresh process takes more than one that is warm. */
function assertWithin(bytes: number, limitMib: number): void {
  assert.ok(bytes < limitMib * MIB, `took ${(bytes / MIB).toFixed(0)} MiB, allowed ${limitMib}`)
}

async function each<Item>(count: number, make: (index: number) => Promise<Item>): Promise<Item[]> {
  return Promise.all(Array.from({ length: count }, async (_one, index) => make(index)))
}

test('handshakes that never end are ended', { timeout: 60_000 }, async () => {
  const start = bytesOfAll(handshake(arena.target))
  await each(150, async (index) => {
    const peer = await connect()
    // Nothing, a part of the protocol header, the front of start-ok, or all but connection.open.
    peer.write(start.subarray(0, [0, 3, 50, start.length - 8][index % 4]!))
  })
  const dripping = setInterval(() => {
    for (const [index, peer] of peers.entries()) if (index % 4 === 2) peer.write(Buffer.of(0))
  }, 500)
  try {
    await arena.control.progress()
    const ended = await Promise.all(peers.map(async (peer) => peer.untilEnded(15_000)))
    assert.deepEqual([ended.filter((one) => !one).length, ended.length], [0, 150])
  } finally {
    clearInterval(dripping)
  }
})

test('thousands of channels with a consumer each', async () => {
  const peak = await memoryPeak(arena, async () => {
    for (let connection = 0; connection < 5; connection++) {
      const peer = await shaken({}, 2047)
      ask(peer, 1, { name: 'queue.declare', queue: 'greedy.many', autoDelete: true })
      await arrived(peer, 'queue.declare-ok')
      const consume: MethodInput = { name: 'basic.consume', queue: 'greedy.many' }
      peer.write(
        bytesOfAll(Array.from({ length: 2047 }, (_one, index) => method(index + 1, consume))),
      )
      await arrived(peer, 'basic.consume-ok', 2047)
      await arena.control.progress()
    }
  })
  assertWithin(peak, 200)
})

test('one channel more than agreed is refused', async () => {
  const peer = await shaken({}, 2047)
  ask(peer, 2048, { name: 'channel.open' })
  await peer.untilEnded(ARRIVES_WITHIN_MS)
  assert.equal(peer.connectionRefusal?.code, 530)
})

test('consumers that never read', async () => {
  const publisher = await shaken()
  ask(publisher, 1, { name: 'queue.declare', queue: 'greedy.unread' }, { name: 'confirm.select' })
  await arrived(publisher, 'confirm.select-ok')
  const chunk = Buffer.concat(Array.from({ length: 16 }, () => message(1, 'greedy.unread', 65_536)))
  // 256 MiB, of which each consumer is offered all.
  for (let index = 0; index < 256; index++) await publisher.writeSlowly(chunk, 10_000)
  ask(publisher, 1, { name: 'basic.qos' })
  await arrived(publisher, 'basic.qos-ok')
  const peak = await memoryPeak(arena, async () => {
    for (let index = 0; index < 10; index++) {
      const peer = await shaken({ reads: false })
      ask(peer, 1, { name: 'basic.consume', queue: 'greedy.unread', noAck: index % 2 === 0 })
    }
    await sleep(500)
    await arena.control.progress()
  })
  assertWithin(peak, 150)
})

test('a publisher that never reads what is returned to it', async () => {
  const peer = await shaken({ reads: false })
  const chunk = Buffer.concat(Array.from({ length: 16 }, () => message(1, 'nowhere', 65_536, true)))
  let chunks = 0
  const peak = await memoryPeak(arena, async () => {
    // 512 MiB, if the broker took them all.
    for (; chunks < 512 && peer.unsentBytes === 0; chunks++) await peer.writeSlowly(chunk, 1_000)
  })
  assert.ok(chunks < 512, 'the broker read on and on')
  assertWithin(peak, 100)
})

test('requests whose answers nobody reads', async () => {
  const peer = await shaken({ reads: false })
  const query: MethodInput = { name: 'queue.declare', queue: '', exclusive: true }
  ask(peer, 1, query)
  const again = method(1, { name: 'queue.declare', queue: '', passive: true })
  const chunk = bytesOfAll(Array.from({ length: 10_000 }, () => again))
  const peak = await memoryPeak(arena, async () => {
    for (let chunks = 0; chunks < 100 && peer.unsentBytes === 0; chunks++) {
      await peer.writeSlowly(chunk, 500)
    }
  })
  assertWithin(peak, 100)
})

test('a requester that never reads its replies', async () => {
  const requester = await connect({ reads: false })
  const responder = await shaken()
  ask(responder, 1, { name: 'queue.declare', queue: 'greedy.requests' })
  await arrived(responder, 'queue.declare-ok')
  const request = header(1, 0, { replyTo: 'amq.rabbitmq.reply-to' })
  requester.write(
    bytesOfAll([
      ...handshake(arena.target),
      method(1, { name: 'channel.open' }),
      method(1, { name: 'basic.consume', queue: 'amq.rabbitmq.reply-to', noAck: true }),
      method(1, { name: 'basic.publish', exchange: '', routingKey: 'greedy.requests' }),
      request,
    ]),
  )
  const replyTo = await replyAddress(responder)
  const chunk = Buffer.concat(Array.from({ length: 16 }, () => message(1, replyTo, 65_536)))
  const peak = await memoryPeak(arena, async () => {
    // 512 MiB of replies.
    for (let index = 0; index < 512; index++) await responder.writeSlowly(chunk, 1_000)
    await arena.control.progress()
  })
  // The connection ends at 80 MiB unread; as much again is garbage on its way to be collected.
  assertWithin(peak, 320)
})

/** The address that a request in `greedy.requests` wants its answer sent to. */
async function replyAddress(responder: FuzzPeer): Promise<string> {
  for (let attempt = 0; attempt < 100; attempt++) {
    ask(responder, 1, { name: 'basic.get', queue: 'greedy.requests', noAck: true })
    const answers = (): number =>
      responder.count('basic.get-ok') + responder.count('basic.get-empty')
    await responder.until(() => answers() > attempt, ARRIVES_WITHIN_MS)
    const replyTo = responder.lastHeader?.properties.replyTo
    if (replyTo !== undefined) return replyTo
    await sleep(20)
  }
  return assert.fail('no request came')
}

test('large bodies that are announced and never sent', async () => {
  const channels = 500
  const peak = await memoryPeak(arena, async () => {
    for (let connection = 0; connection < 4; connection++) {
      const peer = await shaken({}, channels)
      // 32 GB, if what is announced were made room for.
      for (let channel = 1; channel <= channels; channel++) {
        const publish = method(channel, { name: 'basic.publish', routingKey: 'x' })
        peer.write(
          bytesOfAll([publish, header(channel, 16 * MIB), body(channel, Buffer.alloc(10))]),
        )
      }
    }
    await sleep(300)
    await arena.control.progress()
  })
  assertWithin(peak, 150)
})

test('bodies that stay incomplete end the connection before they fill the memory', async () => {
  const peer = await shaken({}, 40)
  const piece = Buffer.alloc(131_064)
  const peak = await memoryPeak(arena, async () => {
    for (let channel = 1; channel <= 40 && !peer.isEnded; channel++) {
      const publish = method(channel, { name: 'basic.publish', routingKey: 'x' })
      peer.write(bytesOfAll([publish, header(channel, 16 * MIB)]))
      const frame = bytesOf(body(channel, piece))
      for (let sent = 0; sent < 120 && !peer.isEnded; sent++) await peer.writeSlowly(frame, 1_000)
    }
  })
  assert.equal(peer.connectionRefusal?.code, 506)
  assertWithin(peak, 200)
})

test('transactions that are never committed', async () => {
  const channels = 10
  const peer = await shaken({ answers: false }, channels)
  for (let channel = 1; channel <= channels; channel++) ask(peer, channel, { name: 'tx.select' })
  await arrived(peer, 'tx.select-ok', channels)
  const peak = await memoryPeak(arena, async () => {
    for (let channel = 1; channel <= channels; channel++) {
      const publish = message(channel, 'greedy.tx', 65_536)
      // 600 MiB over all channels, and 60 in each.
      for (let sent = 0; sent < 960; sent++) await peer.writeSlowly(publish, 1_000)
    }
    await arena.control.progress()
  })
  await arrived(peer, 'channel.close')
  for (const { code } of peer.refusals) assert.equal(code, 406)
  // The transactions hold 128 MiB together (transactionBytesMax), and the rest is garbage.
  assertWithin(peak, 320)
})

test('channel errors that are never answered', async () => {
  const channels = 2047
  const peer = await shaken({ answers: false }, channels)
  for (let channel = 1; channel <= channels; channel++) {
    ask(peer, channel, { name: 'basic.get', queue: 'greedy.missing' })
  }
  await arrived(peer, 'channel.close', channels)
  // Whatever comes for these channels is dropped; the connection itself is well.
  ask(peer, 1, { name: 'queue.declare', queue: 'greedy.dropped' })
  ask(peer, 0, { name: 'connection.update-secret', newSecret: 'x', reason: 'y' })
  await arrived(peer, 'connection.update-secret-ok')
})

test('a storm of connections that are reset at once', async () => {
  const hello = bytesOfAll(handshake(arena.target))
  for (let wave = 0; wave < 10; wave++) {
    await each(100, async (index) => {
      const peer = await connect()
      if (index % 2 === 0) peer.write(hello)
      if (index % 3 === 0) await peer.untilEnded(2)
      peer.reset()
    })
    await arena.control.progress()
  }
})

test('a thousand exclusive queues that go with their connection', async () => {
  const peer = await shaken()
  const declare: MethodInput = { name: 'queue.declare', queue: '', exclusive: true }
  peer.write(bytesOfAll(Array.from({ length: 1000 }, () => method(1, declare))))
  await arrived(peer, 'queue.declare-ok', 1000)
  peer.reset()
  await arena.control.progress()
  await arena.watch?.untilConnections(1, 15_000)
  const names = await arena.watch?.queueNames()
  assert.deepEqual(names?.filter((name) => name.startsWith('amq.gen')) ?? [], [])
})

test('heartbeats and empty bodies by the hundred thousand', async () => {
  const peer = await shaken()
  const beat = Buffer.from([8, 0, 0, 0, 0, 0, 0, 0xce])
  await peer.writeSlowly(Buffer.alloc(beat.length * 200_000, beat), 10_000)
  ask(peer, 1, { name: 'basic.publish', routingKey: 'x' })
  peer.write(bytesOf(header(1, 1)))
  const empty = bytesOf(body(1, Buffer.alloc(0)))
  await peer.writeSlowly(Buffer.alloc(empty.length * 200_000, empty), 10_000)
  await arena.control.progress()
  assert.deepEqual(peer.refusals, [])
})

test('a topic pattern and a key made to be matched for ever', async () => {
  const peer = await shaken()
  const pattern = `${'#.*.'.repeat(60)}x`
  ask(peer, 1, { name: 'queue.declare', queue: 'greedy.topic', autoDelete: true })
  for (let index = 0; index < 20; index++) {
    const routingKey = `${'#.'.repeat(index)}${pattern}`.slice(0, 255)
    ask(peer, 1, { name: 'queue.bind', queue: 'greedy.topic', exchange: 'amq.topic', routingKey })
  }
  await arrived(peer, 'queue.bind-ok', 20)
  ask(peer, 1, { name: 'confirm.select' })
  const long = 'a.'.repeat(127)
  for (let index = 0; index < 50; index++) {
    ask(peer, 1, {
      name: 'basic.publish',
      exchange: 'amq.topic',
      routingKey: `${long}${index % 10}`,
    })
    peer.write(bytesOf(header(1, 0)))
  }
  ask(peer, 1, { name: 'basic.qos' })
  await arrived(peer, 'basic.qos-ok')
})

test('exchanges and dead letters that lead round in circles', async () => {
  const peer = await shaken()
  const names = ['greedy.a', 'greedy.b', 'greedy.c']
  for (const [index, exchange] of names.entries()) {
    const alternate = names[(index + 1) % names.length]!
    const args = new Map([['alternate-exchange', alternate]])
    ask(peer, 1, { name: 'exchange.declare', exchange, type: 'direct', arguments: args })
  }
  for (const [index, source] of names.entries()) {
    const destination = names[(index + 1) % names.length]!
    ask(peer, 1, { name: 'exchange.bind', source, destination, routingKey: 'round' })
  }
  await arrived(peer, 'exchange.bind-ok', 3)
  const dead = new Map<string, string | number>([
    ['x-dead-letter-exchange', ''],
    ['x-dead-letter-routing-key', 'greedy.circle'],
    ['x-message-ttl', 0],
  ])
  ask(peer, 1, { name: 'queue.declare', queue: 'greedy.circle', arguments: dead })
  const full = new Map([...dead, ['x-max-length', 0], ['x-message-ttl', 60_000]] as const)
  ask(peer, 1, { name: 'queue.declare', queue: 'greedy.full', arguments: full })
  await arrived(peer, 'queue.declare-ok', 2)
  for (const exchange of names) {
    ask(peer, 1, { name: 'basic.publish', exchange, routingKey: 'round', mandatory: true })
    peer.write(bytesOf(header(1, 0)))
    ask(peer, 1, { name: 'basic.publish', exchange, routingKey: 'elsewhere', mandatory: true })
    peer.write(bytesOf(header(1, 0)))
  }
  peer.write(message(1, 'greedy.circle', 10))
  peer.write(message(1, 'greedy.full', 10))
  await arrived(peer, 'basic.return', 6)
  await arena.control.progress()
  for (const exchange of names) ask(peer, 1, { name: 'exchange.delete', exchange })
  await arrived(peer, 'exchange.delete-ok', 3)
})

test('a message with ten thousand routing keys is stored and delivered once', async () => {
  const peer = await shaken()
  ask(peer, 1, { name: 'queue.declare', queue: 'greedy.cc', autoDelete: true })
  const keys = Array.from({ length: 8_000 }, (_one, index) =>
    index % 2 === 0 ? 'greedy.cc' : `k${index}`,
  )
  ask(peer, 1, { name: 'basic.publish', routingKey: 'greedy.cc' })
  peer.write(bytesOf(header(1, 0, { headers: new Map([['CC', keys]]) })))
  ask(peer, 1, { name: 'basic.consume', queue: 'greedy.cc', noAck: true })
  await arrived(peer, 'basic.deliver')
  await sleep(50)
  assert.equal(peer.count('basic.deliver'), 1)
})

test('deliveries that are requeued again and again', async () => {
  const peer = await shaken()
  ask(peer, 1, { name: 'queue.declare', queue: 'greedy.again' })
  await arrived(peer, 'queue.declare-ok')
  peer.write(Buffer.concat(Array.from({ length: 5_000 }, () => message(1, 'greedy.again', 1))))
  ask(peer, 1, { name: 'basic.consume', queue: 'greedy.again' })
  await arrived(peer, 'basic.deliver', 5_000)
  for (let round = 0; round < 20; round++) ask(peer, 1, { name: 'basic.recover', requeue: true })
  await arrived(peer, 'basic.recover-ok', 20)
  await arena.control.progress()
})
