/**
 * The same spoilt frames at Waystation and at a real RabbitMQ, to see where the codes differ: a
 * report to read, which fails nothing. By hand, `WAYSTATION_FUZZ_ORACLE=amqp://guest:guest@127.0.0.1:5673` names RabbitMQ.
 */
import { test } from 'node:test'
import { encodeMethod } from '../../src/codec/amqp091/index.ts'
import type { Target } from '../support/target.ts'
import { FuzzArena } from './fuzz-arena.ts'
import { FuzzPeer } from './fuzz-peer.ts'
import { bytesOf, describePieces } from './pieces.ts'
import { singleFault, withOwnNames } from './single-fault.ts'
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
      const { pieces, note: what } = singleFault(draw, arena.target)
      note(what)
      const bytes = withOwnNames(Buffer.concat(pieces.map(bytesOf)), cases++)
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
