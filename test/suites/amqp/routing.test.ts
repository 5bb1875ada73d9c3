import assert from 'node:assert/strict'

import { drain, drainMessages, headersOf, publish, text } from '../../support/amqp-messages.ts'
import { scenario, type Scope } from '../../support/amqp-scope.ts'

scenario('the default exchange routes by queue name', async (scope) => {
  const queue = await scope.queue()
  await publish(scope.channel, '', queue, 'hello')
  const [message] = await drainMessages(scope.channel, queue)
  assert.ok(message)
  assert.deepEqual([message.fields.exchange, message.fields.routingKey], ['', queue])
})

scenario('direct routes by the exact key, to each queue once', async (scope) => {
  const exchange = await scope.exchange('direct')
  const one = await scope.queue()
  const two = await scope.queue()
  await scope.channel.bindQueue(one, exchange, 'a')
  await scope.channel.bindQueue(one, exchange, 'b')
  await scope.channel.bindQueue(two, exchange, 'b')
  for (const key of ['a', 'b', 'c', 'A', '']) await publish(scope.channel, exchange, key, key)
  assert.deepEqual(await drain(scope.channel, one), ['a', 'b'])
  assert.deepEqual(await drain(scope.channel, two), ['b'])
})

scenario('fanout ignores keys and arguments', async (scope) => {
  const exchange = await scope.exchange('fanout')
  const queue = await scope.queue()
  await scope.channel.bindQueue(queue, exchange, 'x')
  await scope.channel.bindQueue(queue, exchange, 'y', { any: 'thing' })
  await publish(scope.channel, exchange, 'whatever', 'once')
  assert.deepEqual(await drain(scope.channel, queue), ['once'])
})

const TOPICS: readonly (readonly [pattern: string, matches: readonly string[]])[] = [
  ['a.b.c', ['a.b.c']],
  ['a.*.c', ['a.b.c', 'a..c']],
  ['#', ['a', 'a.b', 'a.b.c', 'a..c', '', '.', 'b.b.c.d']],
  ['a.#', ['a', 'a.b', 'a.b.c', 'a..c']],
  ['#.c', ['a.b.c', 'a..c']],
  // An empty key has no words at all.
  ['*', ['a']],
  ['*.*', ['a.b', '.']],
  ['#.b.#', ['a.b', 'a.b.c', 'b.b.c.d']],
  ['a.#.c', ['a.b.c', 'a..c']],
  ['*.#', ['a', 'a.b', 'a.b.c', 'a..c', '.', 'b.b.c.d']],
  ['', ['']],
  ['a.*', ['a.b']],
]
const TOPIC_KEYS = ['a', 'a.b', 'a.b.c', 'a..c', '', '.', 'b.b.c.d']

scenario('topic matches words, * one and # any number of them', async (scope) => {
  const exchange = await scope.exchange('topic')
  const queues: string[] = []
  for (const [pattern] of TOPICS) {
    const queue = await scope.queue()
    await scope.channel.bindQueue(queue, exchange, pattern)
    queues.push(queue)
  }
  for (const key of TOPIC_KEYS) await publish(scope.channel, exchange, key, key)
  for (const [index, [pattern, matches]] of TOPICS.entries()) {
    const got = await drain(scope.channel, queues[index]!)
    assert.deepEqual(
      got,
      TOPIC_KEYS.filter((key) => matches.includes(key)),
      `pattern '${pattern}'`,
    )
  }
})

async function headerMatches(
  scope: Scope,
  binding: Record<string, unknown>,
  messages: readonly Record<string, unknown>[],
): Promise<boolean[]> {
  const exchange = await scope.exchange('headers')
  const queue = await scope.queue()
  await scope.channel.bindQueue(queue, exchange, '', binding)
  for (const [index, headers] of messages.entries()) {
    await publish(scope.channel, exchange, 'ignored', String(index), { headers })
  }
  const got = new Set(await drain(scope.channel, queue))
  return messages.map((_headers, index) => got.has(String(index)))
}

const HEADER_MESSAGES: readonly Record<string, unknown>[] = [
  {},
  { a: 1 },
  { b: 'two' },
  { a: 1, b: 'two' },
  { a: 1, b: 'other' },
  { a: 1, b: 'two', 'x-c': 3 },
  { 'x-c': 3 },
  { a: { '!': 'long', value: 1 }, b: 'two' },
  { a: '1', b: 'two' },
  { a: 1, b: null },
]

const HEADER_BINDINGS: readonly (readonly [Record<string, unknown>, readonly number[]])[] = [
  [{ 'x-match': 'all', a: 1, b: 'two' }, [3, 5, 7]],
  [{ a: 1, b: 'two' }, [3, 5, 7]],
  [{ 'x-match': 'any', a: 1, b: 'two' }, [1, 2, 3, 4, 5, 7, 8, 9]],
  [{ 'x-match': 'all', a: 1, 'x-c': 3 }, [1, 3, 4, 5, 7, 9]],
  [{ 'x-match': 'all-with-x', a: 1, 'x-c': 3 }, [5]],
  [{ 'x-match': 'any', b: 'two', 'x-c': 3 }, [2, 3, 5, 7, 8]],
  [{ 'x-match': 'any-with-x', b: 'two', 'x-c': 3 }, [2, 3, 5, 6, 7, 8]],
  [{ 'x-match': 'all', b: null }, [2, 3, 4, 5, 7, 8, 9]],
  [{ 'x-match': 'all' }, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
  [{ 'x-match': 'any' }, []],
]

for (const [binding, expected] of HEADER_BINDINGS) {
  scenario(`headers exchange with ${JSON.stringify(binding)}`, async (scope) => {
    const matched = await headerMatches(scope, binding, HEADER_MESSAGES)
    const got = matched.flatMap((isMatch, index) => (isMatch ? [index] : []))
    assert.deepEqual(got, expected)
  })
}

scenario('a bad x-match is refused', async (scope) => {
  const queue = await scope.queue()
  await scope.refused(
    (channel) => channel.bindQueue(queue, 'amq.headers', '', { 'x-match': 'some', a: 1 }),
    {
      scope: 'channel',
      code: 406,
      text: 'PRECONDITION_FAILED - Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x',
      method: 'queue.bind',
    },
  )
  await scope.refused(
    (channel) => channel.bindQueue(queue, 'amq.headers', '', { 'x-match': 5, a: 1 }),
    { scope: 'channel', code: 406 },
  )
})

scenario('bindings differ by their arguments and are unbound by them', async (scope) => {
  const exchange = await scope.exchange('headers')
  const queue = await scope.queue()
  await scope.channel.bindQueue(queue, exchange, '', { a: 1 })
  await scope.channel.bindQueue(queue, exchange, '', { a: 2 })
  await scope.channel.unbindQueue(queue, exchange, '', { a: 1 })
  await publish(scope.channel, exchange, '', 'one', { headers: { a: 1 } })
  await publish(scope.channel, exchange, '', 'two', { headers: { a: 2 } })
  assert.deepEqual(await drain(scope.channel, queue), ['two'])
})

scenario('exchanges bound to exchanges give each queue one copy, even in a loop', async (scope) => {
  const top = await scope.exchange('fanout')
  const left = await scope.exchange('fanout')
  const right = await scope.exchange('topic')
  const queue = await scope.queue()
  await scope.channel.bindExchange(left, top, '')
  await scope.channel.bindExchange(right, top, '')
  await scope.channel.bindExchange(top, left, '')
  await scope.channel.bindExchange(left, right, '#')
  await scope.channel.bindQueue(queue, left, '')
  await scope.channel.bindQueue(queue, right, 'k.*')
  await scope.channel.bindQueue(queue, top, '')
  await publish(scope.channel, top, 'k.1', 'from the top')
  await publish(scope.channel, right, 'k.2', 'from the right')
  const messages = await drainMessages(scope.channel, queue)
  assert.deepEqual(messages.map(text), ['from the top', 'from the right'])
  assert.deepEqual(
    messages.map((message) => message.fields.exchange),
    [top, right],
  )
  await scope.channel.unbindExchange(right, top, '')
  await scope.channel.unbindExchange(left, top, '')
  await scope.channel.unbindQueue(queue, top, '')
  await publish(scope.channel, top, 'k.1', 'nowhere')
  assert.deepEqual(await drain(scope.channel, queue), [])
})

scenario('CC and BCC are more keys, and BCC is not shown', async (scope) => {
  const exchange = await scope.exchange('direct')
  const queues: string[] = []
  for (const key of ['to', 'cc1', 'cc2', 'bcc']) {
    const queue = await scope.queue()
    await scope.channel.bindQueue(queue, exchange, key)
    queues.push(queue)
  }
  const both = await scope.queue()
  for (const key of ['to', 'cc1', 'bcc']) await scope.channel.bindQueue(both, exchange, key)
  await publish(scope.channel, exchange, 'to', 'hi', {
    headers: { CC: ['cc1', 'cc2'], BCC: ['bcc'], kept: 1 },
  })
  for (const queue of [...queues, both]) {
    const messages = await drainMessages(scope.channel, queue)
    assert.equal(messages.length, 1)
    assert.deepEqual({ ...headersOf(messages[0]!) }, { CC: ['cc1', 'cc2'], kept: 1 })
    assert.equal(messages[0]!.fields.routingKey, 'to')
  }
})

scenario('a CC that is no array is refused', async (scope) => {
  const queue = await scope.queue()
  await scope.refused(
    (channel) => channel.publish('', queue, Buffer.from('x'), { headers: { CC: 'one' } }),
    {
      scope: 'channel',
      code: 406,
      text: 'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}',
      method: 'basic.publish',
    },
  )
  await scope.refused(
    (channel) => channel.publish('', queue, Buffer.from('x'), { headers: { BCC: 'one' } }),
    { scope: 'channel', code: 406 },
  )
})

scenario('consistent hash sends a key to one queue always, by weight', async (scope) => {
  const exchange = await scope.exchange('x-consistent-hash')
  const queues = [await scope.queue(), await scope.queue()]
  for (const queue of queues) await scope.channel.bindQueue(queue, exchange, '10')
  for (let round = 0; round < 2; round += 1) {
    const bodies = Array.from({ length: 100 }, (_value, index) => `key-${index}`)
    await Promise.all(bodies.map(async (key) => publish(scope.channel, exchange, key, key)))
  }
  const [one, two] = [
    await drain(scope.channel, queues[0]!),
    await drain(scope.channel, queues[1]!),
  ]
  assert.equal(one.length + two.length, 200)
  assert.ok(one.length > 20 && two.length > 20, `${one.length} and ${two.length}`)
  assert.deepEqual(
    one.filter((key) => two.includes(key)),
    [],
  )
  await scope.refused((channel) => channel.bindQueue(queues[0]!, exchange, 'heavy'), {
    scope: 'channel',
    code: 406,
    method: 'queue.bind',
  })
})

scenario('consistent hash may look at a header instead', async (scope) => {
  const exchange = await scope.exchange('x-consistent-hash', {
    arguments: { 'hash-header': 'customer' },
  })
  const queues = [await scope.queue(), await scope.queue(), await scope.queue()]
  for (const queue of queues) await scope.channel.bindQueue(queue, exchange, '5')
  for (let index = 0; index < 20; index += 1) {
    await publish(scope.channel, exchange, `key-${index}`, 'x', { headers: { customer: 'one' } })
  }
  const counts = await Promise.all(
    queues.map(async (queue) => (await drain(scope.channel, queue)).length),
  )
  assert.deepEqual(
    counts.toSorted((a, b) => a - b),
    [0, 0, 20],
  )
})
