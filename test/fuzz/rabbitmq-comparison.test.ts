/**
 * The same spoilt frames at Waystation and at a real RabbitMQ, to see where the codes differ: a
 * report to read, which fails nothing. By hand, `WAYSTATION_FUZZ_ORACLE=amqp://guest:guest@127.0.0.1:5673` names RabbitMQ.
 */
import { test } from 'node:test'
import { encodeMethod } from '../../src/codec/amqp091/index.ts'
import type { Target } from '../support/target.ts'
import { FuzzArena } from './fuzz-arena.ts'
import { FuzzPeer } from './fuzz-peer.ts'
import { mutate, type Mutated } from './mutations.ts'
import { bytesOf, describePieces, header, method } from './pieces.ts'
import { handshake, publish, randomRequest, type Draw, type SessionOptions } from './sessions.ts'
import { Tally } from './tally.ts'

const ORACLE = process.env['WAYSTATION_FUZZ_ORACLE'] ?? ''
const QUIET_MS = 120
const HANDSHAKE_MS = 4_000

test('spoilt frames earn the codes they earn at RabbitMQ', async (context) => {
  if (ORACLE === '') return context.skip('WAYSTATION_FUZZ_ORACLE names no RabbitMQ')
  const url = new URL(ORACLE)
  const oracle: Target = {
    url: ORACLE,
    host: url.hostname,
    port: Number(url.port),
    user: url.username,
    password: url.password,
    process: null,
  }
  await using arena = await FuzzArena.open('comparison')
  const tally = new Tally()
  const differences: string[] = []
  let cases = 0
  await arena.run({
    count: 500,
    run: async (draw, note) => {
      // Names of its own for each case, as long as those they replace.
      const own = `f${(cases++).toString(36).padStart(3, '0')}`
      const { pieces, note: what } = singleFault(draw, arena.target)
      note(what)
      const text = Buffer.concat(pieces.map(bytesOf)).toString('latin1')
      const bytes = Buffer.from(text.replaceAll('fuzz', own), 'latin1')
      const [ours, theirs] = await Promise.all([
        refusalsOf(arena.target, bytes),
        refusalsOf(oracle, bytes),
      ])
      const isSame = codesOf(ours) === codesOf(theirs)
      tally.add(isSame ? 'same' : 'different')
      if (isSame) return
      differences.push(`${what}\n  ours   ${ours}\n  theirs ${theirs}\n  ${describePieces(pieces)}`)
    },
  })
  context.diagnostic(tally.text)
  for (const difference of differences) context.diagnostic(difference)
})

async function refusalsOf(target: Target, bytes: Buffer): Promise<string> {
  const peer = await FuzzPeer.connect(target, { answers: false })
  try {
    peer.write(bytes)
    for (let before = -1; before !== peer.receivedBytes && !peer.isEnded;) {
      before = peer.receivedBytes
      await peer.untilEnded(QUIET_MS)
    }
    const bye = { replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 }
    if (peer.connectionRefusal === null) {
      peer.write(encodeMethod(0, { name: 'connection.close', ...bye }))
      await peer.untilEnded(QUIET_MS)
    }
    // RabbitMQ lets whoever fails before connection.open wait for three seconds.
    if (peer.count('connection.open-ok') === 0) await peer.untilEnded(HANDSHAKE_MS)
    const refused = peer.connectionRefusal
    if (refused !== null) return `connection ${refused.code} ${refused.method} (${refused.text})`
    return peer.refusals
      .map(({ channel, code, method, text }) => `${channel}:${code} ${method} (${text})`)
      .toSorted()
      .join(', ')
  } finally {
    peer.destroy()
  }
}

/** Texts may differ, codes and blame may not. */
function codesOf(refusals: string): string {
  return refusals.replaceAll(/ \(.*?\)(?=$|, )/gs, '')
}

/**
 * One spoilt frame, and nothing behind it that could be refused as well: in RabbitMQ the channels
 * of a connection run beside one another, and of two refusals any may be the first.
 */
function singleFault(draw: Draw, options: SessionOptions): Mutated {
  const prelude = [
    ...handshake(options),
    method(1, { name: 'channel.open' }),
    method(1, { name: 'exchange.declare', exchange: 'fuzz.x0', type: 'topic', autoDelete: true }),
    method(1, { name: 'queue.declare', queue: 'fuzz.q0', exclusive: true }),
    method(1, { name: 'queue.bind', queue: 'fuzz.q0', exchange: 'fuzz.x0', routingKey: '#' }),
    method(1, { name: 'basic.publish', exchange: 'fuzz.x0', routingKey: 'a' }),
    header(1, 0),
    method(1, { name: 'basic.get', queue: 'fuzz.q0' }),
  ]
  if (draw.chance(15)) return mutate(prelude.slice(0, 1 + draw.below(4)), draw)
  const request = draw.chance(30) ? publish(draw, 1) : [method(1, randomRequest(draw))]
  const { pieces, note } = mutate(request, draw)
  return { pieces: [...prelude, ...pieces], note }
}
