/** What `trace` tells of messages that clients of several protocols publish, lose and find again. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectAsync } from 'mqtt'
import { TraceWorld } from '../../support/trace-world.ts'

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

test('a message from MQTT that fails, dies, is re-driven and consumed', async () => {
  await using world = await TraceWorld.open()
  const { channel, mqtt } = world
  await channel.assertQueue('dead')
  await channel.assertQueue('jobs', {
    arguments: {
      'x-queue-type': 'quorum',
      'x-delivery-limit': 1,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': 'dead',
    },
  })
  await channel.bindQueue('jobs', 'amq.topic', 'jobs.*')
  await channel.bindQueue('dead', 'amq.topic', 'Jobs.new')
  await world.post('/v1/traces', { destination: 'jobs' })
  await mqtt.publishAsync('jobs/new', 'secret body', {
    qos: 1,
    properties: { userProperties: { 'message-id': 'm-1', traceparent: PARENT, token: 'hidden' } },
  })
  await mqtt.publishAsync('other/new', 'x', { qos: 1 })
  for (let left = 2; left > 0; left--) channel.nack(await world.get('jobs'), false, true)
  await world.until('dead', 1)
  const started = await world.post('/v1/destinations/%2F/dead/redrive', {})
  await world.until('jobs', 1)
  channel.ack(await world.get('jobs'))
  await world.broker.destination('jobs').waitFor({ ready: 0, unsettled: 0 })
  assert.equal(started['queue'], 'dead')

  const found = await world.messages('m-1')
  assert.equal(found.length, 1)
  assert.equal(found[0]!.traceparent, PARENT)
  const told = found[0]!.steps.map(({ step, at, attempts }) => `${step} ${at} ${attempts}`)
  assert.deepEqual(
    told.filter((line) => !line.startsWith('on-disk')),
    [
      'published amq.topic 0',
      'routed jobs 0',
      'nearly-routed dead 0',
      'stored jobs 0',
      'delivered jobs 0',
      'failed jobs 1',
      'released jobs 0',
      'delivered jobs 1',
      'failed jobs 2',
      'dead-lettered jobs 0',
      'stored dead 0',
      'redriven dead 0',
      'stored jobs 0',
      'delivered jobs 0',
      'accepted jobs 0',
    ],
  )
  const [published, , nearly] = found[0]!.steps
  assert.deepEqual(
    [published!.by?.protocol, published!.by?.user, published!.by?.clientId],
    ['MQTT', 'guest', 'tracing-test'],
  )
  assert.match(nearly!.detail, /they differ in upper and lower case/)
  assert.ok(told.some((line) => line.startsWith('on-disk')))
  // Neither bodies nor other headers are kept.
  assert.doesNotMatch(JSON.stringify(found), /secret|hidden/)
  // By its trace id and its place it is found too.
  for (const id of [PARENT.split('-')[1]!, `jobs/${found[0]!.steps[3]!.offset}`, '#1']) {
    assert.deepEqual(
      (await world.messages(id)).map(({ trace }) => trace),
      [1],
      id,
    )
  }
  assert.deepEqual(await world.messages('m-2'), [])
})

test('a rule ends by itself, takes its sample, and what it picked is forgotten in order', async () => {
  await using world = await TraceWorld.open()
  const { channel } = world
  await channel.assertQueue('q')
  const few = await world.post('/v1/traces', { countMax: 3 })
  const sampled = await world.post('/v1/traces', {
    sample: 0.1,
    exchange: '',
    key: 'q',
    forMs: 60_000,
  })
  for (let at = 0; at < 2000; at++)
    channel.sendToQueue('q', Buffer.from('x'), { messageId: `m-${at}` })
  await channel.waitForConfirms()
  const rules = async (): Promise<{ rule: number; traced: number }[]> => {
    const { rules: list } = (await world.request('GET', '/v1/traces')) as {
      rules: { rule: number; traced: number }[]
    }
    return list
  }
  const [left] = await rules()
  assert.deepEqual([few['rule'], sampled['rule'], left!.rule], [1, 2, 2])
  assert.ok(left!.traced > 120 && left!.traced < 290, `${left!.traced} of 2000`)
  assert.equal((await world.messages('m-2')).length, 1)
  // Each message has an offset of its own to be found by, and another rule may not be stopped twice.
  await world.request('DELETE', '/v1/traces/2')
  await assert.rejects(world.request('DELETE', '/v1/traces/2'), /no trace 2/)
  await world.post('/v1/traces', { user: 'nobody', forMs: 1000 })
  await world.broker.clock.advance('2s')
  assert.deepEqual(await rules(), [])
  channel.sendToQueue('q', Buffer.from('x'), { messageId: 'late' })
  await channel.waitForConfirms()
  assert.deepEqual(await world.messages('late'), [])
})

test('what a filter does not take, and what a sample leaves out, says so', async () => {
  await using world = await TraceWorld.open()
  const { channel } = world
  await channel.assertExchange('orders', 'topic')
  await channel.assertQueue('large')
  await channel.bindQueue('large', 'orders', 'order', { 'x-filter-sql': 'amount > 100' })
  await channel.assertQueue('few', { arguments: { 'x-max-length': 1, 'x-overflow': 'sample' } })
  await world.post('/v1/traces', { vhost: '/' })
  const body = Buffer.from('x')
  channel.publish('orders', 'order', body, { messageId: 'small', headers: { amount: 5 } })
  channel.publish('orders', 'order', body, { messageId: 'big', headers: { amount: 500 } })
  for (const messageId of ['kept', 'left']) channel.sendToQueue('few', body, { messageId })
  await channel.waitForConfirms()
  const steps = async (id: string): Promise<string[]> => {
    const [found] = await world.messages(id)
    return found!.steps.map(({ step, at, detail }) => `${step} ${at}: ${detail}`)
  }
  const binding = "binding 'order' of exchange 'orders'"
  assert.ok(
    (await steps('small')).includes(`nearly-routed large: ${binding}: its filter does not take it`),
  )
  assert.ok((await steps('big')).includes(`routed large: ${binding}`))
  assert.ok((await steps('left')).includes('dropped few: a sample is kept, without it'))
})

test('what is unroutable, delayed, expired and refused says so', async () => {
  await using world = await TraceWorld.open()
  const { channel } = world
  await channel.assertExchange('orders', 'topic')
  await channel.assertQueue('eu', {
    arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' },
  })
  await channel.bindQueue('eu', 'orders', 'eu.old')
  await world.post('/v1/traces', { vhost: '/' })
  const send = (key: string, messageId: string, more: object = {}): boolean =>
    channel.publish('orders', key, Buffer.from('x'), { messageId, ...more })
  send('eu.new', 'lost')
  send('eu.old', 'later', { headers: { 'x-deliver-after': 1000 }, expiration: 500 })
  await channel.waitForConfirms()
  await world.broker.clock.advance('1s')
  await world.broker.clock.advance('1s')
  send('eu.old', 'first')
  send('eu.old', 'second')
  await channel.waitForConfirms().catch(() => {})
  const steps = async (id: string): Promise<string[]> => {
    const [found] = await world.messages(id)
    return found!.steps.map(({ step, at, detail }) => `${step} ${at}: ${detail}`)
  }
  assert.deepEqual(await steps('lost'), [
    "published orders: key 'eu.new', 1 bytes",
    "nearly-routed eu: binding 'eu.old' of exchange 'orders': word 2 is 'new', the binding has 'old'",
    'unrouted : nobody took it',
  ])
  const later = await steps('later')
  assert.match(later[1]!, /^delayed : until 20/)
  assert.ok(
    (await steps('second')).some((step) => step.startsWith("refused eu: queue 'eu' is full")),
  )
  assert.deepEqual(later.slice(2), [
    'due orders: ',
    'stored eu: not waited for until it is on disk',
    'dropped eu: expired',
  ])
})

test('a message of QoS 2 for a group is followed into the queue of its member', async () => {
  await using world = await TraceWorld.open()
  const member = await connectAsync(`mqtt://127.0.0.1:${world.broker.port('mqtt')}`, {
    ...{ protocolVersion: 5, clientId: 'member', clean: false, reconnectPeriod: 0 },
    ...{ username: 'guest', password: 'guest' },
    properties: { sessionExpiryInterval: 3600 },
  })
  const got = new Promise<string>((resolve) => {
    member.on('message', (_topic, payload) => resolve(payload.toString()))
  })
  await member.subscribeAsync('$share/meters/plant/#', { qos: 2 })
  await world.post('/v1/traces', {})
  const properties = { userProperties: { 'message-id': 'm-1' } }
  await world.mqtt.publishAsync('plant/1', 'x', { qos: 2, properties })
  assert.equal(await got, 'x')
  await world.broker.settle()
  const [found] = await world.messages('m-1')
  const told = found!.steps.map(({ step, by }) => `${step} ${by?.clientId ?? ''}`.trim())
  assert.deepEqual(
    told.filter((step) => step !== 'on-disk'),
    [
      'published tracing-test',
      'routed',
      'stored',
      'delivered member',
      'stored',
      'delivered member',
      'accepted',
      'accepted',
    ],
  )
  await member.endAsync(true)
})
