import assert from 'node:assert/strict'

import {
  arriving,
  drain,
  eventually,
  getOne,
  headersOf,
  Inbox,
  publish,
  send,
  text,
} from '../../support/amqp-messages.ts'
import { scenario, Scope } from '../../support/amqp-scope.ts'
import { reopenTarget } from '../../support/target.ts'

const options = {
  skipWhen: (scope: Scope): string | null => (scope.isRabbit ? 'RabbitMQ has no retries' : null),
}

scenario(
  'a message put back comes again after its delay, counted, and others are not held up',
  async (scope) => {
    const queue = await scope.queue({ arguments: { 'x-retry-delay': 150 } })
    await send(scope.channel, queue, ['bad', 'good'])
    const startMs = performance.now()
    scope.channel.nack(await getOne(scope.channel, queue), false, true)
    assert.deepEqual(await drain(scope.channel, queue), ['good'])
    const again = await eventually(async () => {
      const message = await scope.channel.get(queue)
      return message === false ? null : message
    }, 'retried message')
    const passedMs = performance.now() - startMs
    assert.ok(passedMs >= 149, `it came again after ${passedMs} ms`)
    assert.equal(text(again), 'bad')
    assert.equal(again.fields.redelivered, true)
    assert.equal(headersOf(again)['x-delivery-count'], 1)
    scope.channel.ack(again)
  },
  options,
)

scenario(
  'a ladder is climbed step by step, then the message is dead',
  async (scope) => {
    const dead = await scope.queue()
    const queue = await scope.queue({
      arguments: {
        'x-retry-ladder': '20,60',
        'x-retry-limit': 2,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': dead,
      },
    })
    const times: number[] = []
    await scope.channel.consume(queue, (message) => {
      times.push(performance.now())
      scope.channel.nack(message!, false, true)
    })
    await send(scope.channel, queue, ['poison'])
    const message = await arriving(scope.channel, dead)
    assert.equal(times.length, 3)
    assert.ok(times[1]! - times[0]! >= 19, 'the first step is 20 ms')
    assert.ok(times[2]! - times[1]! >= 59, 'the second step is 60 ms')
    const headers = headersOf(message)
    assert.equal(headers['x-first-death-reason'], 'delivery_limit')
    assert.equal(headers['x-last-death-attempts'], 3)
  },
  options,
)

scenario(
  'a message brings its own delay to a queue that retries, and a bad one is no harm',
  async (scope) => {
    const queue = await scope.queue({ arguments: { 'x-retry-delay': 60_000 } })
    await publish(scope.channel, '', queue, 'quick', { headers: { 'x-retry-delay': 0 } })
    await publish(scope.channel, '', queue, 'odd', { headers: { 'x-retry-delay': 'soon' } })
    const inbox = await Inbox.open(scope.channel, queue)
    for (const message of await inbox.take(2)) scope.channel.nack(message, false, true)
    const [again] = await inbox.take(1)
    assert.equal(text(again!), 'quick')
    scope.channel.ack(again!)
  },
  options,
)

scenario(
  'what waits for its next attempt waits on after a kill',
  async (scope) => {
    const args = { 'x-retry-delay': 3000 }
    const queue = await scope.queue({ durable: true, arguments: args })
    await send(scope.channel, queue, ['bad'], { persistent: true })
    const startMs = performance.now()
    scope.channel.nack(await getOne(scope.channel, queue), false, true)
    // Its confirm covers what came before.
    await send(scope.channel, queue, ['good'], { persistent: true })
    const broker = scope.target.process!
    await broker.kill()
    await broker.start()
    await reopenTarget(broker)
    const after = await Scope.open()
    try {
      const early = performance.now() - startMs < 2900
      const ready = await drain(after.channel, queue)
      if (early) assert.deepEqual(ready, ['good'])
      if (ready.length === 2) return
      const again = await eventually(async () => {
        const message = await after.channel.get(queue, { noAck: true })
        return message === false ? null : message
      }, 'retried message')
      assert.equal(text(again), 'bad')
      assert.equal(headersOf(again)['x-delivery-count'], 1)
      assert.ok(performance.now() - startMs >= 2999)
    } finally {
      await after.close()
    }
  },
  {
    skipWhen: (scope) => (scope.target.process === null ? 'only our own broker is killed' : null),
  },
)

scenario(
  'what an argument for retries may be is said',
  async (scope) => {
    const name = scope.name('bad')
    await scope.refused(
      (channel) => channel.assertQueue(name, { arguments: { 'x-retry-jitter': 101 } }),
      { scope: 'channel', code: 406, method: 'queue.declare' },
    )
  },
  options,
)
