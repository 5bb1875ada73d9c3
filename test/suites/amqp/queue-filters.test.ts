/** Filters of consumers that share a queue, with amqplib. */
import assert from 'node:assert/strict'
import type { Channel, ConfirmChannel, ConsumeMessage, Options } from 'amqplib'
import { drain, eventually, publish, readyCount, text } from '../../support/amqp-messages.ts'
import { Scope, scenario } from '../../support/amqp-scope.ts'
import { reopenTarget } from '../../support/target.ts'

interface Worker {
  readonly channel: Channel
  readonly got: ConsumeMessage[]
  readonly bodies: () => string[]
  readonly tag: string
}

async function work(
  scope: Scope,
  queue: string,
  args: Record<string, unknown>,
  options: Options.Consume & { readonly prefetch?: number } = {},
): Promise<Worker> {
  const channel = await scope.open()
  const { prefetch = 0, ...rest } = options
  await channel.prefetch(prefetch)
  const got: ConsumeMessage[] = []
  const { consumerTag } = await channel.consume(queue, (message) => void got.push(message!), {
    ...rest,
    arguments: args,
  })
  return { channel, got, bodies: () => got.map((message) => text(message)), tag: consumerTag }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  await eventually(async () => (condition() ? true : null), what)
}

async function fill(
  channel: ConfirmChannel,
  queue: string,
  colours: readonly string[],
): Promise<void> {
  for (const [at, colour] of colours.entries()) {
    const options = { persistent: true, headers: { colour } }
    await publish(channel, '', queue, `${colour}${at}`, options)
  }
}

scenario('each consumer gets what it wants; the rest stays, in order', async (scope) => {
  const { channel } = scope
  const queue = await scope.queue()
  await fill(channel, queue, ['red', 'blue', 'green', 'red', 'blue', 'green'])
  const red = await work(scope, queue, { 'x-filter-sql': "colour = 'red'" }, { prefetch: 1 })
  const blue = await work(scope, queue, { 'x-filter-headers': { colour: 'blue' } })
  await until('what waits is given out', () => red.got.length === 1 && blue.got.length === 2)
  await fill(channel, queue, ['blue', 'green', 'red'])
  await until('what comes is given out', () => blue.got.length === 3)
  assert.deepEqual([red.bodies(), blue.bodies()], [['red0'], ['blue1', 'blue4', 'blue0']])
  red.channel.ack(red.got[0]!)
  await until('the next one', () => red.got.length === 2)
  red.channel.ack(red.got[1]!)
  await until('the last one', () => red.got.length === 3)
  assert.deepEqual(red.bodies(), ['red0', 'red3', 'red2'])
  assert.equal(await readyCount(channel, queue), 3)
  assert.deepEqual(await drain(channel, queue), ['green2', 'green5', 'green1'])
})

scenario('what nobody takes waits for somebody who does', async (scope) => {
  const { channel } = scope
  const queue = await scope.queue()
  const tagged = await work(scope, queue, { 'x-filter-tags': 'paid' })
  await publish(channel, '', queue, 'a', { headers: { tag: 'sent' } })
  await publish(channel, '', queue, 'b', { headers: { tag: 'paid' } })
  await publish(channel, '', queue, 'c')
  await until('the one it wants', () => tagged.got.length === 1)
  const all = await work(scope, queue, {})
  await until('the others', () => all.got.length === 2)
  assert.deepEqual([tagged.bodies(), all.bodies()], [['b'], ['a', 'c']])
})

scenario('a message comes again to those who want it, and before later ones', async (scope) => {
  const { channel } = scope
  const queue = await scope.queue()
  await fill(channel, queue, ['red', 'blue', 'red', 'blue', 'red'])
  const sql = { 'x-filter-sql': "colour = 'red'" }
  const first = await work(scope, queue, sql, { prefetch: 2 })
  await until('two', () => first.got.length === 2)
  // Not acknowledged, and its consumer goes.
  await first.channel.close()
  const second = await work(scope, queue, sql)
  await until('three', () => second.got.length === 3)
  assert.deepEqual(second.bodies(), ['red0', 'red2', 'red4'])
  assert.deepEqual(
    second.got.map(({ fields }) => fields.redelivered),
    [true, true, false],
  )
  second.channel.nack(second.got[1]!, false, true)
  await until('once more', () => second.got.length === 4)
  assert.equal(second.bodies()[3], 'red2')
})

scenario('priorities, times to live and one active consumer hold as ever', async (scope) => {
  const { channel } = scope
  const queue = await scope.queue({
    arguments: { 'x-max-priority': 5, 'x-single-active-consumer': true },
  })
  const send = async (body: string, priority: number, more: object = {}): Promise<void> => {
    const headers = { wanted: !body.startsWith('n') }
    await publish(channel, '', queue, body, { priority, headers, ...more })
  }
  await send('n1', 5)
  await send('late', 4, { expiration: '0' })
  await send('low', 1)
  await send('high', 3)
  const sql = { 'x-filter-sql': 'wanted' }
  const active = await work(scope, queue, sql, { prefetch: 1 })
  const waiting = await work(scope, queue, {})
  await until('the first one', () => active.got.length === 1)
  active.channel.ack(active.got[0]!)
  await until('the second one', () => active.got.length === 2)
  assert.deepEqual(active.bodies(), ['high', 'low'])
  assert.equal(waiting.got.length, 0)
  await active.channel.cancel(active.tag)
  await until('the next one is active', () => waiting.got.length === 1)
  assert.deepEqual(waiting.bodies(), ['n1'])
})

scenario('what failed is held back, and comes again to the same filter', async (scope) => {
  const { channel } = scope
  const queue = await scope.queue({ arguments: { 'x-retry-delay': 50, 'x-retry-limit': 3 } })
  await fill(channel, queue, ['blue', 'red', 'red'])
  const red = await work(scope, queue, { 'x-filter-sql': "colour = 'red'" }, { prefetch: 1 })
  const blue = await work(scope, queue, { 'x-filter-sql': "colour = 'blue'" })
  await until('one', () => red.got.length === 1)
  red.channel.nack(red.got[0]!, false, true)
  await until('the other', () => red.got.length === 2)
  red.channel.ack(red.got[1]!)
  await until('again', () => red.got.length === 3)
  assert.deepEqual(red.bodies(), ['red1', 'red2', 'red1'])
  assert.equal(red.got[2]!.properties.headers!['x-delivery-count'], 1)
  assert.deepEqual(blue.bodies(), ['blue0'])
})

scenario('filters and order by key do not go together', async (scope) => {
  const keyed = await scope.queue({ arguments: { 'x-key-shared': true } })
  const filter = { arguments: { 'x-filter-sql': 'a > 1' } }
  await scope.refused(async (channel) => channel.consume(keyed, () => {}, filter), {
    code: 406,
    text: `PRECONDITION_FAILED - queue '${keyed}' is key-shared, and its consumers cannot filter`,
  })
  const plain = await scope.queue()
  await scope.refused(
    async (channel) => channel.consume(plain, () => {}, { arguments: { 'x-filter-sql': 'a >' } }),
    { code: 406 },
  )
})

scenario(
  'after a kill consumers that filter go on with what waits',
  async (scope) => {
    const queue = await scope.queue({ durable: true })
    await fill(scope.channel, queue, ['red', 'blue', 'red'])
    const sql = { 'x-filter-sql': "colour = 'red'" }
    const before = await work(scope, queue, sql, { prefetch: 1 })
    await until('one', () => before.got.length === 1)
    before.channel.ack(before.got[0]!)
    await until('the next one', () => before.got.length === 2)
    const broker = scope.target.process!
    await broker.kill()
    await broker.start()
    await reopenTarget(broker)
    const again = await Scope.open()
    const after = await work(again, queue, sql)
    await until('what was not acknowledged', () => after.got.length > 0)
    assert.equal(after.bodies().at(-1), 'red2')
    assert.deepEqual(await drain(again.channel, queue), ['blue1'])
    await again.close()
  },
  {
    skipWhen: (scope) => (scope.target.process === null ? 'only our own broker is killed' : null),
  },
)
