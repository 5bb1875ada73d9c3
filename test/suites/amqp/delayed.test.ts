import assert from 'node:assert/strict'

import { headersOf, Inbox, publish, text } from '../../support/amqp-messages.ts'
import { scenario, type Scope } from '../../support/amqp-scope.ts'

const options = {
  // A community plugin that Debian does not bring.
  skipWhen: (scope: Scope): string | null =>
    scope.isRabbit ? 'this RabbitMQ has no delayed-message plugin' : null,
}

scenario(
  'a delayed message is routed when its time has come',
  async (scope) => {
    const exchange = await scope.exchange('x-delayed-message', {
      arguments: { 'x-delayed-type': 'direct' },
    })
    const queue = await scope.queue()
    await scope.channel.bindQueue(queue, exchange, 'k')
    const inbox = await Inbox.open(scope.channel, queue, { noAck: true })
    const startMs = performance.now()
    await publish(scope.channel, exchange, 'k', 'later', { headers: { 'x-delay': 200 } })
    await publish(scope.channel, exchange, 'k', 'sooner', { headers: { 'x-delay': 100 } })
    await publish(scope.channel, exchange, 'k', 'now')
    const messages = await inbox.take(3)
    const passedMs = performance.now() - startMs
    assert.deepEqual(messages.map(text), ['now', 'sooner', 'later'])
    assert.ok(passedMs >= 195, `the last one came after ${passedMs} ms`)
    assert.equal(headersOf(messages[2]!)['x-delay'], -200)
  },
  options,
)

scenario(
  'x-deliver-after holds a message back on any exchange, also by the default one',
  async (scope) => {
    const exchange = await scope.exchange('topic')
    const queue = await scope.queue()
    await scope.channel.bindQueue(queue, exchange, 'a.#')
    const inbox = await Inbox.open(scope.channel, queue, { noAck: true })
    const startMs = performance.now()
    const after = (delayMs: unknown): object => ({ headers: { 'x-deliver-after': delayMs } })
    await publish(scope.channel, exchange, 'a.b', 'later', after(200))
    await publish(scope.channel, '', queue, 'sooner', after('100'))
    await publish(scope.channel, '', queue, 'now', after(-5))
    const messages = await inbox.take(3)
    const passedMs = performance.now() - startMs
    assert.deepEqual(messages.map(text), ['now', 'sooner', 'later'])
    assert.ok(passedMs >= 195, `the last one came after ${passedMs} ms`)
    assert.deepEqual(
      messages.map((message) => headersOf(message)['x-deliver-after']),
      [-5, -100, -200],
    )
    assert.deepEqual(
      messages.map(({ fields }) => fields.exchange),
      ['', '', exchange],
    )
    assert.equal(headersOf(messages[2]!)['x-delay'], undefined)
  },
  options,
)

scenario(
  'a delayed exchange needs a type it can stand for',
  async (scope) => {
    const name = scope.name('bad')
    await scope.refused((channel) => channel.assertExchange(name, 'x-delayed-message'), {
      scope: 'channel',
      code: 406,
      method: 'exchange.declare',
    })
  },
  options,
)
