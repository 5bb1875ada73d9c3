/** Noise in every state a client can bring a connection to, and sessions cut anywhere. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { MethodInput } from '../../src/codec/amqp091/index.ts'
import { FuzzArena } from './fuzz-arena.ts'
import { runCase } from './fuzz-case.ts'
import { FuzzPeer } from './fuzz-peer.ts'
import { body, bytesOf, describePieces, header, method, type Frame, type Piece } from './pieces.ts'
import { handshake, type Draw } from './sessions.ts'
import { singleFault, withOwnNames } from './single-fault.ts'

const GROWTH_BYTES_MAX = 32 * 1024 * 1024
const OVER_WITHIN_MS = 5_000

let arena: FuzzArena
/** Of the next case that shall share no name with another. */
let number = 0
before(async () => {
  arena = await FuzzArena.open('bytes')
})
after(async () => arena[Symbol.asyncDispose]())

function on1(...inputs: MethodInput[]): Frame[] {
  return inputs.map((input) => method(1, input))
}

const PUBLISH: MethodInput = { name: 'basic.publish', exchange: '', routingKey: 'fuzz.q0' }

/** What comes behind the handshake and an open channel. */
const BEHIND: Readonly<Record<string, readonly Piece[]>> = {
  'with a channel': [],
  'where a header is due': on1(PUBLISH),
  'where a body is due': [...on1(PUBLISH), header(1, 100)],
  'where more of a body is due': [...on1(PUBLISH), header(1, 100), body(1, Buffer.alloc(50))],
  'with a consumer': on1(
    { name: 'queue.declare', queue: '', exclusive: true },
    { name: 'basic.consume', queue: '' },
  ),
  'in a transaction': on1({ name: 'tx.select' }, { name: 'queue.declare', queue: '' }),
  'with confirms': on1({ name: 'confirm.select' }),
  'in a channel that the broker closed': on1({ name: 'basic.get', queue: 'fuzz.missing' }),
  'in a channel that the client closed': on1({
    name: 'channel.close',
    replyCode: 200,
    replyText: '',
    classId: 0,
    methodId: 0,
  }),
  'in a connection that the broker closed': on1({ name: 'channel.open' }),
}

function states(): [string, readonly Piece[]][] {
  const shaken = handshake(arena.target)
  const opened = [...shaken, method(1, { name: 'channel.open' })]
  return [
    ['before anything', []],
    ['before start-ok', shaken.slice(0, 1)],
    ['before tune-ok', shaken.slice(0, 2)],
    ['before open', shaken.slice(0, 3)],
    ['without a channel', shaken],
    ...Object.entries(BEHIND).map(([name, pieces]): [string, readonly Piece[]] => {
      return [name, [...opened, ...pieces]]
    }),
  ]
}

/** Noise, noise that begins like a frame, and the front of a frame that never ends. */
function noise(draw: Draw): Buffer {
  const bytes = draw.random.bytes(1 + draw.below(draw.chance(10) ? 20_000 : 300))
  if (draw.chance(60)) {
    bytes[0] = draw.one([1, 2, 3, 8])
    const front = Buffer.from([draw.below(2), 0, 0, draw.below(3), draw.below(256)])
    front.copy(bytes, Math.min(2, bytes.length))
  }
  return bytes
}

test('random octets in any state end in an AMQP error or a clean close', async () => {
  const all = states()
  const run = async (draw: Draw, note: (text: string) => void): Promise<void> => {
    const [name, pieces] = draw.one(all)
    const bytes = Buffer.concat([...pieces.map(bytesOf), noise(draw), noise(draw)])
    note(`${name}: ${bytes.toString('base64')}`)
    await runCase(arena.target, bytes, draw)
  }
  await arena.run({ count: 100, run })
  const beforeBytes = await arena.heldBytes()
  await arena.run({ count: 300, run })
  await arena.checkNothingLeft(beforeBytes, GROWTH_BYTES_MAX)
})

// A socket may cut the stream anywhere, and must not change what it means.
test('a session is refused the same from any cuts', async () => {
  await arena.run({
    count: 150,
    run: async (draw, note) => {
      const { pieces, note: what } = singleFault(draw, arena.target)
      note(`${what}: ${describePieces(pieces)}`)
      const octets = Buffer.concat(pieces.map(bytesOf))
      const whole = await refusalsOf(withOwnNames(octets, number++), [])
      const cuts = Array.from({ length: 1 + draw.below(30) }, () => draw.below(octets.length + 1))
      const cut = await refusalsOf(withOwnNames(octets, number++), cuts)
      assert.deepEqual(cut, whole, `cut at ${cuts.join(' ')}`)
    },
  })
})

test('a session that ends anywhere leaves nothing behind', async () => {
  await arena.run({
    count: 100,
    run: async (draw, note) => {
      const { pieces } = singleFault(draw, arena.target)
      const octets = withOwnNames(Buffer.concat(pieces.map(bytesOf)), number++)
      const end = draw.below(octets.length + 1)
      note(`the first ${end} octets of ${describePieces(pieces)}`)
      const peer = await FuzzPeer.connect(arena.target)
      peer.write(octets.subarray(0, end))
      if (draw.chance(50)) await peer.untilEnded(draw.below(20))
      if (draw.chance(50)) peer.reset()
      else peer.halfClose()
      assert.ok(await peer.untilEnded(OVER_WITHIN_MS), 'still open')
    },
  })
  await arena.checkNothingLeft(0, Number.POSITIVE_INFINITY)
})

/** What the broker answers when `octets` come in the pieces that `cuts` make of them. */
async function refusalsOf(octets: Buffer, cuts: readonly number[]): Promise<string[]> {
  const peer = await FuzzPeer.connect(arena.target, { answers: false })
  try {
    let from = 0
    for (const cut of [...cuts.toSorted((one, other) => one - other), octets.length]) {
      peer.write(octets.subarray(from, cut))
      from = cut
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    peer.halfClose()
    assert.ok(await peer.untilEnded(OVER_WITHIN_MS), 'the connection is still open')
    assert.equal(peer.malformed, null)
    return peer.refusals.map(({ channel, code, method: blamed }) => `${channel}: ${code} ${blamed}`)
  } finally {
    peer.destroy()
  }
}
