import assert from 'node:assert/strict'

import { METHOD } from '../../../src/codec/amqp091/index.ts'
import { publish } from '../../support/amqp-messages.ts'
import { scenario } from '../../support/amqp-scope.ts'
import type { RawClient } from '../../support/raw-client.ts'

interface Wrong {
  readonly what: string
  readonly code: number
  readonly text: string | RegExp
  /** Null where brokers may blame what they like. */
  readonly method: string | null
  /** RabbitMQ crashes and just ends the connection. */
  readonly rabbitEnds?: true
  readonly send: (raw: RawClient) => void
}

function headerOf(bodySize: number): Buffer {
  const header = Buffer.alloc(14)
  header.writeUInt16BE(60, 0)
  header.writeBigUInt64BE(BigInt(bodySize), 4)
  return header
}

function methodPayload(id: number, rest: Uint8Array = Buffer.alloc(0)): Buffer {
  const out = Buffer.alloc(4 + rest.length)
  out.writeUInt32BE(id, 0)
  out.set(rest, 4)
  return out
}

/** What ends the connection; channel 1 is open. */
const WRONG: readonly Wrong[] = [
  {
    what: 'a frame that does not end with 0xCE',
    code: 501,
    text: /^FRAME_ERROR - /,
    method: '',
    send: (raw) => {
      raw.write(Uint8Array.from([8, 0, 0, 0, 0, 0, 0, 0x00]))
    },
  },
  {
    what: 'a frame above frame_max',
    code: 501,
    text: /^FRAME_ERROR - type 2, size 200000|^FRAME_ERROR - /,
    method: '',
    send: (raw) => {
      raw.sendFrame(2, 1, Buffer.alloc(200_000))
    },
  },
  {
    what: 'a method on a channel that is not open',
    code: 504,
    text: "CHANNEL_ERROR - expected 'channel.open'",
    method: 'queue.declare',
    send: (raw) => {
      raw.sendMethod(9, { name: 'queue.declare', queue: 'x', arguments: new Map() })
    },
  },
  {
    what: 'an open channel opened again',
    code: 504,
    text: "CHANNEL_ERROR - second 'channel.open' seen",
    method: 'channel.open',
    send: (raw) => {
      raw.sendMethod(1, { name: 'channel.open' })
    },
  },
  {
    what: 'a connection method on another channel',
    code: 503,
    text: /^COMMAND_INVALID - /,
    method: 'connection.tune-ok',
    send: (raw) => {
      raw.sendMethod(1, { name: 'connection.tune-ok', channelMax: 0, frameMax: 0, heartbeat: 0 })
    },
  },
  {
    what: 'a channel method on channel 0',
    code: 504,
    text: 'CHANNEL_ERROR - unexpected method in connection state running',
    method: 'queue.declare',
    send: (raw) => {
      raw.sendMethod(0, { name: 'queue.declare', queue: 'x', arguments: new Map() })
    },
  },
  {
    what: 'an unknown class',
    code: 540,
    text: /^NOT_IMPLEMENTED - /,
    method: null,
    rabbitEnds: true,
    send: (raw) => {
      raw.sendFrame(1, 1, methodPayload((99 << 16) | 1))
    },
  },
  {
    what: 'an unknown method',
    code: 540,
    text: /^NOT_IMPLEMENTED - /,
    method: null,
    rabbitEnds: true,
    send: (raw) => {
      raw.sendFrame(1, 1, methodPayload((50 << 16) | 999))
    },
  },
  {
    what: 'a content header without a publish',
    code: 505,
    text: 'UNEXPECTED_FRAME - expected method frame, got non method frame instead',
    method: '',
    send: (raw) => {
      raw.sendFrame(2, 1, headerOf(0))
    },
  },
  {
    what: 'a body without a header',
    code: 505,
    text: 'UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead',
    method: 'basic.publish',
    send: (raw) => {
      raw.sendMethod(1, { name: 'basic.publish', exchange: 'amq.direct', routingKey: 'x' })
      raw.sendFrame(3, 1, Buffer.from('body'))
    },
  },
  {
    what: 'a method where the header is due',
    code: 505,
    text: 'UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead',
    method: 'basic.publish',
    send: (raw) => {
      raw.sendMethod(1, { name: 'basic.publish', exchange: 'amq.direct', routingKey: 'x' })
      raw.sendMethod(1, { name: 'basic.qos' })
    },
  },
  {
    what: 'a header of another class',
    code: 505,
    text: 'UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead',
    method: 'basic.publish',
    send: (raw) => {
      raw.sendMethod(1, { name: 'basic.publish', exchange: 'amq.direct', routingKey: 'x' })
      const header = headerOf(0)
      header.writeUInt16BE(50, 0)
      raw.sendFrame(2, 1, header)
    },
  },
  {
    what: 'a method where the body is due',
    code: 505,
    text: 'UNEXPECTED_FRAME - expected content body, got non content body frame instead',
    method: 'basic.publish',
    send: (raw) => {
      raw.sendMethod(1, { name: 'basic.publish', exchange: 'amq.direct', routingKey: 'x' })
      raw.sendFrame(2, 1, headerOf(10))
      raw.sendMethod(1, { name: 'basic.qos' })
    },
  },
  {
    what: 'arguments that are cut',
    code: 501,
    text: /^FRAME_ERROR - /,
    method: null,
    send: (raw) => {
      raw.sendFrame(1, 1, methodPayload(METHOD.QUEUE_DECLARE, Buffer.from([0, 0, 200, 1])))
    },
  },
  {
    what: 'a method that only servers send',
    code: 503,
    text: 'COMMAND_INVALID - unimplemented method',
    method: 'queue.declare-ok',
    send: (raw) => {
      raw.sendMethod(1, {
        name: 'queue.declare-ok',
        queue: 'x',
        messageCount: 0,
        consumerCount: 0,
      })
    },
  },
]

for (const wrong of WRONG) {
  scenario(`${wrong.what}: ${wrong.code}, and other connections go on`, async (scope) => {
    const raw = await scope.raw()
    await raw.openChannel(1)
    wrong.send(raw)
    if (scope.isRabbit && wrong.rabbitEnds) {
      await raw.ended()
      return
    }
    const close = await raw.connectionClose()
    assert.equal(close.code, wrong.code, close.text)
    if (typeof wrong.text === 'string') assert.equal(close.text, wrong.text)
    else assert.match(close.text, wrong.text)
    if (wrong.method !== null) assert.equal(close.method, wrong.method)
    await raw.ended()
    assert.equal(await publish(scope.channel, 'amq.direct', 'nowhere', 'x'), 'ack')
  })
}

scenario(
  'a body longer than announced is refused',
  async (scope) => {
    const raw = await scope.raw()
    await raw.openChannel(1)
    raw.sendMethod(1, { name: 'basic.publish', exchange: 'amq.direct', routingKey: 'x' })
    raw.sendFrame(2, 1, headerOf(3))
    raw.sendFrame(3, 1, Buffer.from('four'))
    const close = await raw.connectionClose()
    assert.ok([501, 505].includes(close.code), `${close.code} ${close.text}`)
  },
  { skipWhen: (scope) => (scope.isRabbit ? 'RabbitMQ 4.0 answers nothing at all' : null) },
)

scenario('after connection.close the server takes nothing but close-ok', async (scope) => {
  const raw = await scope.raw()
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'channel.open' })
  raw.sendMethod(1, { name: 'queue.declare', queue: scope.name('never'), arguments: new Map() })
  await raw.method('connection.close')
  raw.sendMethod(1, { name: 'basic.qos' })
  raw.sendMethod(0, { name: 'connection.close-ok' })
  await raw.ended()
  assert.equal(await raw.next(), null)
})

scenario('octets may come one by one', async (scope) => {
  const queue = await scope.queue()
  const raw = await scope.raw()
  await raw.openChannel(1)
  raw.cutsWrites = true
  raw.sendPublish(1, { key: queue }, 'in pieces', { messageId: 'm' })
  raw.sendMethod(1, { name: 'basic.get', queue, noAck: true })
  await raw.method('basic.get-ok')
  assert.equal((await raw.content()).body.toString(), 'in pieces')
})
