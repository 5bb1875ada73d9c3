import { encodeMethod, REPLY, REPLY_NAMES } from '../../src/codec/amqp091/index.ts'
import type { Target } from '../support/target.ts'
import { FuzzPeer, type Refusal } from './fuzz-peer.ts'
import type { Draw } from './sessions.ts'

/** How a hostile client leaves. */
export type Farewell = 'close' | 'half-close' | 'destroy' | 'reset'

/** How a case ended, as seen from the client. */
export interface Outcome {
  readonly refusals: readonly Refusal[]
  /** Who ended it: the broker by itself, or only after the client had stopped talking. */
  readonly endedBy: 'broker' | 'client'
}

/** After this long without an end the client stops talking itself. */
const PATIENCE_MS = 150
/** After the client has stopped talking the connection must be over within this time. */
const OVER_WITHIN_MS = 5_000

const SEEMLY_CODES = new Set<number>([...REPLY_NAMES.keys()])
SEEMLY_CODES.delete(REPLY.INTERNAL_ERROR)

/**
 * Sends `bytes` in random pieces, then leaves; throws unless the broker answered with proper AMQP
 * errors, or ended the connection cleanly, in time.
 */
export async function runCase(target: Target, bytes: Buffer, draw: Draw): Promise<Outcome> {
  const peer = await FuzzPeer.connect(target)
  try {
    await writeInPieces(peer, bytes, draw)
    const farewell = draw.one<Farewell>(['close', 'close', 'half-close', 'destroy', 'reset'])
    const endedBy = await leave(peer, farewell)
    judge(peer)
    return { refusals: peer.refusals, endedBy }
  } finally {
    peer.destroy()
  }
}

async function writeInPieces(peer: FuzzPeer, bytes: Buffer, draw: Draw): Promise<void> {
  if (draw.chance(40)) {
    peer.write(bytes)
    return
  }
  const pieceBytesMax = draw.one([1, 7, 100, 5000, 100_000])
  let writes = 0
  for (let at = 0; at < bytes.length && !peer.isEnded;) {
    // After enough small pieces the rest goes at once: each of them costs a turn.
    const end = ++writes > 200 ? bytes.length : at + 1 + draw.below(pieceBytesMax)
    peer.write(bytes.subarray(at, end))
    at = end
    if (draw.chance(30)) await new Promise((resolve) => setImmediate(resolve))
  }
}

async function leave(peer: FuzzPeer, farewell: Farewell): Promise<Outcome['endedBy']> {
  if (farewell === 'destroy' || farewell === 'reset') {
    // Sometimes at once, in the middle of the answer.
    await peer.untilEnded(5)
    if (farewell === 'reset') peer.reset()
    else peer.destroy()
    return 'client'
  }
  if (farewell === 'close') {
    const bye = { replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 }
    peer.write(encodeMethod(0, { name: 'connection.close', ...bye }))
    if (await peer.untilEnded(PATIENCE_MS)) return 'broker'
  }
  peer.halfClose()
  if (!(await peer.untilEnded(OVER_WITHIN_MS))) {
    throw new Error(`the connection is still open ${OVER_WITHIN_MS} ms after the client's end`)
  }
  return 'client'
}

/** What the broker said must be AMQP, and a fault of the client must not be called its own. */
function judge(peer: FuzzPeer): void {
  if (peer.malformed !== null) throw new Error(`the broker sent no AMQP: ${peer.malformed}`)
  for (const { code, text, channel } of peer.refusals) {
    if (!SEEMLY_CODES.has(code)) throw new Error(`channel ${channel} closed with ${code} ${text}`)
    if (text === '') throw new Error(`channel ${channel} closed with ${code} and no reason`)
  }
  const ends = peer.refusals.filter(({ channel }) => channel === 0)
  if (ends.length > 1) throw new Error(`the connection was closed ${ends.length} times`)
}
