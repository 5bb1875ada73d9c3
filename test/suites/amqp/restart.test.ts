import assert from 'node:assert/strict'

import {
  drain,
  drainMessages,
  getOne,
  headersOf,
  publish,
  send,
  text,
} from '../../support/amqp-messages.ts'
import { scenario, Scope, type ScenarioOptions } from '../../support/amqp-scope.ts'
import { reopenTarget } from '../../support/target.ts'

const options: ScenarioOptions = {
  skipWhen: (scope) => (scope.target.process === null ? 'only our own broker is restarted' : null),
}

/** Stops the broker, starts it again on the same data, and opens a scope on it. */
async function restarted(scope: Scope, how: 'stop' | 'kill' = 'stop'): Promise<Scope> {
  const broker = scope.target.process
  assert.ok(broker !== null)
  await broker[how]()
  await broker.start()
  await reopenTarget(broker)
  return Scope.open()
}

for (const how of ['stop', 'kill'] as const) {
  scenario(
    `confirmed persistent messages and durable topology outlive a ${how}`,
    async (scope) => {
      const exchange = await scope.exchange('topic', { durable: true })
      const queue = await scope.queue({ durable: true, maxPriority: 3 })
      const transient = await scope.queue({ durable: false })
      await scope.channel.bindQueue(queue, exchange, 'a.#')
      const sent = { persistent: true, headers: { n: 1 }, messageId: 'm' }
      await publish(scope.channel, exchange, 'a.b', 'kept', sent)
      await publish(scope.channel, '', queue, 'acked', { persistent: true })
      await send(scope.channel, transient, ['gone'])
      const [kept, acked] = [await getOne(scope.channel, queue), await getOne(scope.channel, queue)]
      scope.channel.ack(acked)
      // A round trip, so that the ack has been seen.
      await scope.channel.checkQueue(queue)
      assert.equal(text(kept), 'kept')
      const after = await restarted(scope, how)
      try {
        await after.refused((channel) => channel.checkQueue(transient), { code: 404 })
        const messages = await drainMessages(after.channel, queue)
        // An ack is not confirmed to its sender: a crash may bring that message back.
        const wanted = how === 'stop' ? ['kept'] : messages.map(text)
        assert.deepEqual(messages.map(text), wanted)
        const [message] = messages
        assert.ok(message)
        assert.equal(text(message), 'kept')
        assert.equal(message.fields.redelivered, true)
        assert.equal(headersOf(message)['n'], 1)
        assert.deepEqual([message.properties.messageId, message.fields.exchange], ['m', exchange])
        await publish(after.channel, exchange, 'a.c', 'routed again')
        assert.deepEqual(await drain(after.channel, queue), ['routed again'])
        await after.channel.assertQueue(queue, { durable: true, maxPriority: 3 })
        await after.channel.assertExchange(exchange, 'topic', { durable: true })
      } finally {
        await after.close()
      }
    },
    options,
  )
}

scenario(
  'persistent messages do not depend on transient ones beside them',
  async (scope) => {
    const queue = await scope.queue({ durable: true })
    await send(scope.channel, queue, ['transient'], { persistent: false })
    await send(scope.channel, queue, ['persistent'], { persistent: true })
    const after = await restarted(scope)
    try {
      // Transient messages may be lost, and need not be: RabbitMQ loses them.
      const left = await drain(after.channel, queue)
      assert.deepEqual(
        left.filter((body) => body !== 'transient'),
        ['persistent'],
      )
    } finally {
      await after.close()
    }
  },
  options,
)

scenario(
  'streams keep their offsets over a restart',
  async (scope) => {
    const queue = await scope.queue({ arguments: { 'x-queue-type': 'stream' } })
    await send(scope.channel, queue, ['a', 'b'], { persistent: true })
    const after = await restarted(scope)
    try {
      await send(after.channel, queue, ['c'], { persistent: true })
      const channel = await after.open()
      await channel.prefetch(10)
      const seen: unknown[] = []
      await new Promise<void>((resolve) => {
        void channel.consume(
          queue,
          (message) => {
            if (message === null) return
            seen.push([text(message), headersOf(message)['x-stream-offset']])
            if (seen.length === 3) resolve()
          },
          { arguments: { 'x-stream-offset': 'first' } },
        )
      })
      assert.deepEqual(seen, [
        ['a', 0],
        ['b', 1],
        ['c', 2],
      ])
    } finally {
      await after.close()
    }
  },
  options,
)

scenario(
  'a stop ends idle and busy connections with 320',
  async (scope) => {
    const broker = scope.target.process
    assert.ok(broker !== null)
    const idle = await scope.raw()
    const busy = await scope.raw()
    await busy.openChannel(1)
    const stopped = broker.stop()
    for (const raw of [idle, busy]) assert.equal((await raw.connectionClose()).code, 320)
    assert.equal(await stopped, 0)
    await broker.start()
    await reopenTarget(broker)
  },
  options,
)
