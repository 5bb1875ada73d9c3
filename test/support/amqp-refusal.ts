/** What a server says when it closes a channel or a connection, out of amqplib's error events. */
import assert from 'node:assert/strict'
import type { EventEmitter } from 'node:events'

import type { Channel, ChannelModel } from 'amqplib'

import { METHOD_NAMES } from '../../src/codec/amqp091/index.ts'

const REFUSED_WITHIN_MS = 3_000

export interface Refusal {
  readonly scope: 'channel' | 'connection'
  readonly code: number
  /** The reply text, whole. */
  readonly text: string
  /** The method the server blames, such as `queue.declare`; empty when it blames none. */
  readonly method: string
}

/** The properties amqplib puts on the errors it makes of close frames. */
interface CloseError extends Error {
  readonly code?: number
  readonly classId?: number
  readonly methodId?: number
}

const refusals = new WeakMap<EventEmitter, Promise<Refusal>>()

/** Listens from now on; without a listener amqplib's error events would end the process. */
export function watchRefusal(emitter: Channel | ChannelModel, scope: Refusal['scope']): void {
  refusals.set(
    emitter,
    new Promise((resolve) => {
      emitter.on('error', (error: Error) => {
        resolve(refusalOf(scope, error))
      })
    }),
  )
}

function refusalOf(scope: Refusal['scope'], error: CloseError): Refusal {
  const classId = error.classId ?? 0
  const methodId = error.methodId ?? 0
  return {
    scope,
    code: error.code ?? 0,
    text: /with message "([\s\S]*)"$/.exec(error.message)?.[1] ?? error.message,
    method: METHOD_NAMES.get(classId * 0x10000 + methodId) ?? '',
  }
}

/** Does `action` and resolves when the server has closed the channel or its connection. */
export async function refusalOfAction(
  channel: Channel,
  connection: ChannelModel,
  action: () => unknown,
): Promise<Refusal> {
  const watched = [channel, connection].map(async (emitter) => {
    const refusal = refusals.get(emitter)
    assert.ok(refusal, 'the channel was not opened through a scope')
    return refusal
  })
  const settled = Promise.resolve()
    .then(action)
    // The refusal itself comes by the event; the rejected reply says the same again.
    .catch(() => null)
  const timer = new AbortController()
  const late = new Promise<never>((_resolve, reject) => {
    const timeout = setTimeout(() => {
      reject(new Error(`nothing was refused in ${REFUSED_WITHIN_MS} ms`))
    }, REFUSED_WITHIN_MS)
    timer.signal.addEventListener('abort', () => {
      clearTimeout(timeout)
    })
  })
  try {
    return await Promise.race([...watched, late])
  } finally {
    timer.abort()
    await Promise.race([settled, late.catch(() => null)])
  }
}
