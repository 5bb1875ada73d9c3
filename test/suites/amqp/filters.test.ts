/** Filters on bindings and on consumers of streams, with amqplib. */
import assert from 'node:assert/strict'
import { drain, eventually, getOne, publish, text } from '../../support/amqp-messages.ts'
import { scenario } from '../../support/amqp-scope.ts'

scenario('a binding takes what its selector is true of, on any kind of exchange', async (scope) => {
  const { channel } = scope
  for (const type of ['topic', 'direct', 'fanout', 'headers']) {
    const exchange = await scope.exchange(type)
    const large = await scope.queue()
    const eu = await scope.queue()
    const all = await scope.queue()
    await channel.bindQueue(large, exchange, 'order', { 'x-filter-sql': 'amount > 100' })
    await channel.bindQueue(eu, exchange, 'order', {
      'x-filter-sql': "region LIKE 'EU-%' AND NOT cancelled",
    })
    await channel.bindQueue(all, exchange, 'order')
    const send = async (body: string, headers: Record<string, unknown>): Promise<void> => {
      assert.equal(await publish(channel, exchange, 'order', body, { headers }), 'ack')
    }
    await send('a', { amount: 500, region: 'EU-DE', cancelled: false })
    await send('b', { amount: 50, region: 'EU-FR', cancelled: false })
    await send('c', { amount: 500, region: 'US', cancelled: false })
    await send('d', { region: 'EU-IT', cancelled: true })
    await send('e', {})
    assert.deepEqual(await drain(channel, large), ['a', 'c'], type)
    assert.deepEqual(await drain(channel, eu), ['a', 'b'], type)
    assert.deepEqual(await drain(channel, all), ['a', 'b', 'c', 'd', 'e'], type)
  }
})

scenario('properties, tags and headers filter too, and all conditions count', async (scope) => {
  const { channel } = scope
  const exchange = await scope.exchange('direct')
  const urgent = await scope.queue()
  const tagged = await scope.queue()
  const both = await scope.queue()
  await channel.bindQueue(urgent, exchange, 'k', {
    'x-filter-sql':
      "JMSPriority > 4 AND p.message_id = 'm' AND p.type = 'order' AND header.durable",
  })
  await channel.bindQueue(tagged, exchange, 'k', { 'x-filter-tags': 'paid || sent' })
  await channel.bindQueue(both, exchange, 'k', {
    'x-filter-tags': 'paid',
    'x-filter-headers': { 'x-match': 'all', country: 'de' },
  })
  const options = { priority: 9, messageId: 'm', type: 'order', persistent: true }
  await publish(channel, exchange, 'k', 'a', {
    ...options,
    headers: { tag: 'paid', country: 'de' },
  })
  await publish(channel, exchange, 'k', 'b', { ...options, priority: 4, headers: { tag: 'sent' } })
  await publish(channel, exchange, 'k', 'c', { headers: { TAGS: 'paid' } })
  assert.deepEqual(await drain(channel, urgent), ['a'])
  assert.deepEqual(await drain(channel, tagged), ['a', 'b', 'c'])
  assert.deepEqual(await drain(channel, both), ['a'])
})

scenario(
  'a message that no filter takes is unroutable, and goes to the alternate',
  async (scope) => {
    const { channel } = scope
    const rest = await scope.exchange('fanout')
    const others = await scope.queue()
    await channel.bindQueue(others, rest, '')
    const exchange = await scope.exchange('direct')
    const withRest = await scope.exchange('direct', { alternateExchange: rest })
    const queue = await scope.queue()
    for (const source of [exchange, withRest]) {
      await channel.bindQueue(queue, source, 'k', { 'x-filter-sql': 'n = 1' })
    }
    const returned: string[] = []
    channel.on('return', (message) => returned.push(text(message)))
    const mandatory = { mandatory: true }
    await publish(channel, exchange, 'k', 'lost', { ...mandatory, headers: { n: 2 } })
    await publish(channel, exchange, 'k', 'kept', { ...mandatory, headers: { n: 1 } })
    await publish(channel, withRest, 'k', 'other', { ...mandatory, headers: { n: 2 } })
    assert.deepEqual(returned, ['lost'])
    assert.deepEqual(await drain(channel, queue), ['kept'])
    assert.deepEqual(await drain(channel, others), ['other'])
  },
)

scenario('exchanges bound to exchanges filter on the way', async (scope) => {
  const { channel } = scope
  const first = await scope.exchange('fanout')
  const second = await scope.exchange('fanout')
  const queue = await scope.queue()
  await channel.bindExchange(second, first, '', { 'x-filter-sql': 'a = 1' })
  await channel.bindQueue(queue, second, '', { 'x-filter-sql': 'b = 1' })
  for (const [body, a, b] of [
    ['both', 1, 1],
    ['first', 1, 2],
    ['second', 2, 1],
  ] as const) {
    await publish(channel, first, '', body, { headers: { a, b } })
  }
  assert.deepEqual(await drain(channel, queue), ['both'])
  await channel.unbindExchange(second, first, '', { 'x-filter-sql': 'a = 1' })
  await publish(channel, first, '', 'gone', { headers: { a: 1, b: 1 } })
  assert.deepEqual(await drain(channel, queue), [])
})

scenario('a filter that cannot be read is refused with the place of the fault', async (scope) => {
  const exchange = await scope.exchange('direct')
  const queue = await scope.queue()
  await scope.refused(
    async (channel) => channel.bindQueue(queue, exchange, 'k', { 'x-filter-sql': 'a > AND b' }),
    {
      code: 406,
      text: 'PRECONDITION_FAILED - filter, character 5: a name, a constant or a bracket is expected, not AND',
    },
  )
})

scenario('a consumer of a stream is given what its filter takes', async (scope) => {
  const { channel } = scope
  const stream = await scope.queue({ arguments: { 'x-queue-type': 'stream' } })
  for (let n = 0; n < 100; n++) {
    const headers = { n, tag: n % 2 === 0 ? 'even' : 'odd' }
    await publish(channel, '', stream, `${n}`, { headers })
  }
  const consumer = await scope.open()
  await consumer.prefetch(3)
  const got: string[] = []
  await consumer.consume(
    stream,
    (message) => {
      got.push(text(message!))
      consumer.ack(message!)
    },
    {
      arguments: {
        'x-stream-offset': 'first',
        'x-filter-sql': 'n >= 90 OR n < 5',
        'x-filter-tags': 'even',
      },
    },
  )
  await eventually(async () => (got.length === 8 ? true : null), 'eight messages')
  assert.deepEqual(got, ['0', '2', '4', '90', '92', '94', '96', '98'])
})

scenario(
  'a filter that changes holds from the next message on, and its neighbours do not notice',
  async (scope) => {
    const { channel } = scope
    const exchange = await scope.exchange('direct')
    const queue = await scope.queue()
    const plain = await scope.queue()
    await channel.bindQueue(plain, exchange, 'plain')
    await channel.bindQueue(queue, exchange, 'k', { 'x-filter-sql': 'n = 1' })
    // The route of the key is known when the filter changes.
    await publish(channel, exchange, 'k', 'a', { headers: { n: 1 } })
    await publish(channel, exchange, 'plain', 'p', { headers: { n: 5 } })
    await channel.unbindQueue(queue, exchange, 'k', { 'x-filter-sql': 'n = 1' })
    await channel.bindQueue(queue, exchange, 'k', { 'x-filter-sql': 'n = 2' })
    await publish(channel, exchange, 'k', 'b', { headers: { n: 1 } })
    await publish(channel, exchange, 'k', 'c', { headers: { n: 2 } })
    assert.deepEqual(await drain(channel, queue), ['a', 'c'])
    assert.equal(text(await getOne(channel, plain)), 'p')
  },
)
