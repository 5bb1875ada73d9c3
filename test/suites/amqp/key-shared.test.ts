import assert from 'node:assert/strict'
import type { ConsumeMessage } from 'amqplib'

import {
  arriving,
  eventually,
  getOne,
  headersOf,
  Inbox,
  publish,
  text,
} from '../../support/amqp-messages.ts'
import { scenario, Scope, type ScopeChannel } from '../../support/amqp-scope.ts'
import { reopenTarget } from '../../support/target.ts'

const options = {
  skipWhen: (scope: Scope): string | null =>
    scope.isRabbit ? 'RabbitMQ has no key-shared queues' : null,
}

/** A key-shared queue bound to an exchange of its own, to which messages go by key. */
async function keyed(
  scope: Scope,
  args: Record<string, unknown> = {},
): Promise<{ queue: string; exchange: string }> {
  const exchange = await scope.exchange('topic')
  const queue = await scope.queue({ arguments: { 'x-key-shared': true, ...args } })
  await scope.channel.bindQueue(queue, exchange, '#')
  return { queue, exchange }
}

/** Publishes `key:1`, `key:2` and so on, in turns. */
async function publishAll(
  channel: ScopeChannel,
  exchange: string,
  keys: readonly string[],
  count: number,
): Promise<void> {
  for (let sequence = 1; sequence <= count; sequence++) {
    for (const key of keys) {
      channel.publish(exchange, key, Buffer.from(`${key}:${sequence}`), { persistent: true })
    }
  }
  await channel.waitForConfirms()
}

scenario(
  'any number of consumers share the keys, each key in order and with one of them at a time',
  async (scope) => {
    const { queue, exchange } = await keyed(scope)
    const keys = Array.from({ length: 24 }, (_, index) => `k${index}`)
    const holders = new Map<string, { consumer: number; unsettled: number }>()
    const next = new Map<string, number>()
    const handled = [0, 0, 0, 0]
    const problems: string[] = []
    let done = 0
    for (const consumer of handled.keys()) {
      const channel = await scope.open(await scope.connect())
      await channel.prefetch(1 + consumer * 3)
      await channel.consume(queue, (message) => {
        const body = text(message!)
        const [key = '', sequence] = body.split(':')
        const holder = holders.get(key) ?? { consumer, unsettled: 0 }
        if (holder.unsettled > 0 && holder.consumer !== consumer) problems.push(`${body}: two`)
        if (Number(sequence) !== (next.get(key) ?? 1)) problems.push(`${body}: order`)
        next.set(key, Number(sequence) + 1)
        holders.set(key, { consumer, unsettled: holder.unsettled + 1 })
        handled[consumer]!++
        setTimeout(() => {
          holders.get(key)!.unsettled--
          channel.ack(message!)
          done++
        }, Math.random() * 4)
      })
    }
    await publishAll(scope.channel, exchange, keys, 12)
    await eventually(async () => (done === 288 ? true : null), 'all of them')
    assert.deepEqual(problems, [])
    for (const count of handled) assert.ok(count > 0, `a consumer got nothing: ${handled.join()}`)
  },
  options,
)

scenario(
  'a failing message holds back its followers and no other key, until it is dead',
  async (scope) => {
    const dead = await scope.queue()
    const { queue, exchange } = await keyed(scope, {
      'x-retry-delay': 60,
      'x-retry-limit': 2,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': dead,
    })
    const seen: string[] = []
    for (let consumer = 0; consumer < 2; consumer++) {
      const channel = await scope.open(await scope.connect())
      await channel.prefetch(1)
      await channel.consume(queue, (message) => {
        seen.push(text(message!))
        if (text(message!) === 'bad:1') channel.nack(message!, false, true)
        else channel.ack(message!)
      })
    }
    await publishAll(scope.channel, exchange, ['bad', 'good', 'fine'], 5)
    const message = await arriving(scope.channel, dead)
    assert.equal(text(message), 'bad:1')
    assert.equal(headersOf(message)['x-last-death-attempts'], 3)
    await eventually(async () => (seen.length === 17 ? true : null), 'the followers')
    const ofKey = (key: string): string[] => seen.filter((body) => body.startsWith(key))
    assert.deepEqual(ofKey('bad'), [
      ...['bad:1', 'bad:1', 'bad:1', 'bad:2', 'bad:3', 'bad:4', 'bad:5'],
    ])
    const second = seen.indexOf('bad:1', seen.indexOf('bad:1') + 1)
    const others = seen.slice(0, second).filter((body) => !body.startsWith('bad'))
    assert.equal(others.length, 10, 'the others went on before its second attempt')
  },
  options,
)

scenario(
  'the key of a consumer that dies goes to another one, from where it stood',
  async (scope) => {
    const { queue, exchange } = await keyed(scope)
    const dying = await scope.connect()
    const first = await scope.open(dying)
    await first.prefetch(3)
    const got = await Inbox.open(first, queue)
    await publishAll(scope.channel, exchange, ['a'], 6)
    assert.deepEqual((await got.take(3)).map(text), ['a:1', 'a:2', 'a:3'])
    const second = await Inbox.open(await scope.open(await scope.connect()), queue)
    await publish(scope.channel, exchange, 'b', 'b:1')
    assert.equal(text(await second.next()), 'b:1')
    await second.idle()
    await dying.close()
    const messages = await second.take(6)
    assert.deepEqual(messages.map(text), ['a:1', 'a:2', 'a:3', 'a:4', 'a:5', 'a:6'])
    assert.deepEqual(
      messages.map(({ fields }) => fields.redelivered),
      [true, true, true, false, false, false],
    )
  },
  options,
)

scenario(
  'after a kill a failed message still comes before its followers',
  async (scope) => {
    const { queue, exchange } = await keyed(scope, { 'x-retry-delay': 2500 })
    await publishAll(scope.channel, exchange, ['bad', 'good'], 3)
    scope.channel.nack(await getOne(scope.channel, queue), false, true)
    // Its confirm covers what came before.
    await publish(scope.channel, exchange, 'good', 'good:4', { persistent: true })
    const broker = scope.target.process!
    await broker.kill()
    await broker.start()
    await reopenTarget(broker)
    const after = await Scope.open()
    try {
      const seen: ConsumeMessage[] = []
      await after.channel.prefetch(10)
      await after.channel.consume(queue, (message) => {
        seen.push(message!)
        after.channel.ack(message!)
      })
      await eventually(async () => (seen.length === 7 ? true : null), 'all seven')
      const bad = seen.filter((message) => text(message).startsWith('bad'))
      assert.deepEqual(bad.map(text), ['bad:1', 'bad:2', 'bad:3'])
      assert.equal(headersOf(bad[0]!)['x-delivery-count'], 1)
    } finally {
      await after.close()
    }
  },
  {
    skipWhen: (scope) => (scope.target.process === null ? 'only our own broker is killed' : null),
  },
)

scenario(
  'a header may hold the key, and what has none is shared like everything else',
  async (scope) => {
    const queue = await scope.queue({ arguments: { 'x-key-header': 'customer' } })
    const channels = [await scope.open(), await scope.open()]
    const inboxes: Inbox[] = []
    for (const channel of channels) {
      await channel.prefetch(1)
      inboxes.push(await Inbox.open(channel, queue))
    }
    const [one, two] = inboxes as [Inbox, Inbox]
    for (const [body, customer] of [
      ['seven:1', 7],
      ['seven:2', '7'],
      ['none', undefined],
    ] as const) {
      const headers = customer === undefined ? {} : { customer }
      await publish(scope.channel, '', queue, body, { headers })
    }
    assert.equal(text(await one.next()), 'seven:1')
    const none = await two.next()
    assert.equal(text(none), 'none')
    two.channel.ack(none)
    await two.idle()
    one.channel.ack(one.all[0]!)
    await eventually(async () => (one.all.length + two.all.length === 3 ? true : null), 'the last')
  },
  options,
)

scenario(
  'a consumer may ask for order by key, and all consumers must agree',
  async (scope) => {
    const queue = await scope.queue()
    const asking = { arguments: { 'x-key-header': 'customer' } }
    const first = await scope.open()
    await first.prefetch(1)
    const inbox = await Inbox.open(first, queue, asking)
    const asks = async (args: Record<string, unknown>): Promise<void> =>
      scope.refused((channel) => channel.consume(queue, () => {}, { arguments: args }), {
        scope: 'channel',
        code: 406,
        method: 'basic.consume',
      })
    await asks({ 'x-key-shared': true })
    await asks({ 'x-key-header': 'other' })
    await asks({ 'x-key-shared': false })
    await asks({ 'x-key-shared': 'yes' })
    // Who asks for nothing takes part in what there is.
    const second = await scope.open()
    await second.prefetch(1)
    const other = await Inbox.open(second, queue)
    const headers = { customer: 'c' }
    await publish(scope.channel, '', queue, 'c:1', { headers })
    await publish(scope.channel, '', queue, 'c:2', { headers })
    await eventually(async () => (inbox.all.length + other.all.length === 1 ? true : null), 'one')
    await inbox.idle(30).catch(() => {})
    assert.equal(inbox.all.length + other.all.length, 1)
    await first.cancel(inbox.tag)
    await second.cancel(other.tag)
    await Inbox.open(await scope.open(), queue)
    await asks({ 'x-key-shared': true })
  },
  options,
)

scenario(
  'a key-shared queue gives single messages of keys that nobody has',
  async (scope) => {
    const { queue, exchange } = await keyed(scope)
    await publishAll(scope.channel, exchange, ['a', 'b'], 2)
    const held = await getOne(scope.channel, queue)
    assert.equal(text(held), 'a:1')
    const other = await getOne(scope.channel, queue)
    assert.equal(text(other), 'b:1')
    assert.equal(await scope.channel.get(queue), false)
    scope.channel.nack(held, false, true)
    assert.equal(text(await getOne(scope.channel, queue)), 'a:1')
  },
  options,
)
