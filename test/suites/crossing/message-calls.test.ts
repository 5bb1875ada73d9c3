/** Unmodified clients of AMQP 0-9-1 and MQTT 5 call typed services, and provide them. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Channel, connect, type ConsumeMessage, type Options } from 'amqplib'
import {
  connectAsync,
  type IClientPublishOptions,
  type IPublishPacket,
  type MqttClient,
} from 'mqtt'
import { z } from 'zod'
import {
  type Channel as RpcChannel,
  connectChannel,
  createClient,
  errorOf,
  hopOf,
  type Metadata,
  rpc,
  RpcError,
  serve,
  service,
} from '../../../src/client/index.ts'
import { startBroker } from '../../../src/server/index.ts'
import { until } from '../../support/grpc-js-client.ts'

const Orders = service('shop.v1.Orders', {
  place: rpc.unary({
    in: z.object({ sku: z.string(), count: z.number().default(1) }),
    out: z.object({ id: z.string() }),
    errors: { OutOfStock: z.object({ left: z.number() }) },
  }),
  wait: rpc.unary({ in: z.object({}), out: z.object({}) }),
  note: rpc.oneway({ in: z.object({ text: z.string() }) }),
  watch: rpc.serverStream({ in: z.object({}), out: z.object({ n: z.number() }) }),
})
const QUEUE = 'rpc-worker.shop.v1.Orders'

type Running = Awaited<ReturnType<typeof startBroker>>

class World {
  readonly broker: Running
  readonly amqp: Channel
  readonly rpc: RpcChannel
  readonly #t: TestContext

  constructor(t: TestContext, parts: { broker: Running; amqp: Channel; rpc: RpcChannel }) {
    this.#t = t
    this.broker = parts.broker
    this.amqp = parts.amqp
    this.rpc = parts.rpc
  }

  static async open(t: TestContext): Promise<World> {
    const broker = await startBroker({
      listen: { amqp: 0, mqtt: 0, rpc: 0, http: 0 },
      rpc: { messageSize: 65_536 },
    })
    t.after(async () => broker.close())
    const channel = connectChannel(`rpc://127.0.0.1:${broker.port('rpc')}`)
    t.after(async () => channel.close())
    const amqp = await openAmqp(t, broker)
    return new World(t, { broker, amqp, rpc: channel })
  }

  amqpChannel(login?: string): Promise<Channel> {
    return openAmqp(this.#t, this.broker, login)
  }

  async mqtt(clientId: string): Promise<MqttClient> {
    const client = await connectAsync(`mqtt://127.0.0.1:${this.broker.port('mqtt')}`, {
      ...{ protocolVersion: 5, clientId, reconnectPeriod: 0 },
      ...{ username: 'guest', password: 'guest' },
    })
    this.#t.after(async () => client.endAsync(true))
    return client
  }

  async addUser(name: string, permissions: { write: string; read: string }): Promise<void> {
    const headers = {
      authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}`,
      'content-type': 'application/json',
    }
    const put = async (path: string, body: object): Promise<void> => {
      const url = `http://127.0.0.1:${this.broker.port('http')}/api/${path}`
      const answer = await fetch(url, { method: 'PUT', headers, body: JSON.stringify(body) })
      assert.ok(answer.ok, `${path}: ${answer.status}`)
    }
    await put(`users/${name}`, { password: name, tags: '' })
    await put(`permissions/%2F/${name}`, { configure: '', ...permissions })
  }

  /** The provider of our own. */
  async provide(watch: { cancelled: number; notes: string[]; seen: Metadata[] }): Promise<void> {
    const provider = serve(this.rpc, Orders, {
      place({ sku, count }, context) {
        watch.seen.push(context.metadata)
        context.setTrailers([['took', '3ms']])
        if (count > 5) throw context.error('OutOfStock', { left: 5 })
        return { id: `${sku}-${count}` }
      },
      async wait(_input, { signal }) {
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        watch.cancelled += 1
        return {}
      },
      note({ text }) {
        watch.notes.push(text)
      },
      async *watch() {
        for (let n = 0; n < 1000; n++) yield { n }
      },
    })
    await provider.ready
    this.#t.after(async () => provider.close(0))
  }
}

async function openAmqp(t: TestContext, broker: Running, login = 'guest:guest'): Promise<Channel> {
  const connection = await connect(`amqp://${login}@127.0.0.1:${broker.port('amqp')}`)
  connection.on('error', () => {})
  t.after(async () => connection.close().catch(() => {}))
  return connection.createChannel()
}

/** Answers to one channel, by correlation id, through direct reply-to. */
class AmqpCaller {
  readonly #channel: Channel
  readonly #waiting = new Map<string, (message: ConsumeMessage) => void>()
  #count = 0

  private constructor(channel: Channel) {
    this.#channel = channel
  }

  static async open(channel: Channel): Promise<AmqpCaller> {
    const caller = new AmqpCaller(channel)
    await channel.consume(
      'amq.rabbitmq.reply-to',
      (message) => caller.#waiting.get(message!.properties.correlationId as string)?.(message!),
      { noAck: true },
    )
    return caller
  }

  call(key: string, body: string | Buffer, options: Options.Publish = {}): Promise<ConsumeMessage> {
    this.#count += 1
    const correlationId = `call ${this.#count}`
    return new Promise((resolve) => {
      this.#waiting.set(correlationId, resolve)
      const said = { replyTo: 'amq.rabbitmq.reply-to', correlationId, ...options }
      this.#channel.publish('amq.rpc', key, Buffer.from(body), said)
    })
  }
}

function headersOf({ properties }: ConsumeMessage): Record<string, unknown> {
  return { ...properties.headers }
}

function jsonOf({ content }: { readonly content: Buffer }): unknown {
  return JSON.parse(content.toString())
}

const nobody = (): { cancelled: number; notes: string[]; seen: Metadata[] } => ({
  ...{ cancelled: 0, notes: [], seen: [] },
})

test('AMQP calls a typed service: answer, metadata, declared error, one way', async (t) => {
  const world = await World.open(t)
  const watch = nobody()
  await world.provide(watch)
  const caller = await AmqpCaller.open(world.amqp)
  const headers = { tenant: 'acme', retries: 3, 'key-bin': Buffer.from([1, 2]), ümlaut: 'x' }
  const answer = await caller.call('shop.v1.Orders.place', '{"sku":"tea"}', { headers })
  assert.deepEqual(jsonOf(answer), { id: 'tea-1' })
  assert.equal(answer.properties.contentType, 'application/json')
  assert.deepEqual(headersOf(answer), { 'grpc-status': '0', took: '3ms' })
  assert.equal(watch.seen[0]!.get('tenant'), 'acme')
  assert.equal(watch.seen[0]!.get('retries'), '3')
  assert.deepEqual(watch.seen[0]!.all('key-bin'), [Uint8Array.of(1, 2)])

  const failed = await caller.call('shop.v1.Orders.place', '{"sku":"tea","count":9}')
  const { 'grpc-status': code, 'grpc-message': text } = headersOf(failed)
  assert.deepEqual([code, text], ['9', 'OutOfStock'])
  assert.deepEqual(jsonOf(failed), {
    code: 'failed_precondition',
    message: 'OutOfStock',
    details: [
      {
        type: 'json/shop.v1.Orders.OutOfStock',
        value: Buffer.from('{"left":5}').toString('base64').replace(/=+$/, ''),
        debug: { left: 5 },
      },
    ],
  })
  world.amqp.publish('amq.rpc', 'shop.v1.Orders.note', Buffer.from('{"text":"hi"}'))
  await until(() => watch.notes.length === 1, 'the note')
})

test('what ends a call of AMQP is told in its answer, whatever it is', async (t) => {
  const world = await World.open(t)
  const caller = await AmqpCaller.open(world.amqp)
  const codeOf = async (key: string, body: string, more: Options.Publish = {}) => {
    const answer = await caller.call(key, body, more)
    return headersOf(answer)['grpc-status']
  }
  assert.equal(await codeOf('shop.v1.Orders.place', '{}'), '14')
  await world.provide(nobody())
  assert.equal(await codeOf('shop.v1.Orders.place', '{"sku":3}'), '3')
  assert.equal(await codeOf('shop.v1.Orders.none', '{}'), '12')
  assert.equal(await codeOf('place', '{}'), '12')
  assert.equal(await codeOf('shop.v1.Orders.watch', '{}'), '12')
  assert.equal(await codeOf('shop.v1.Orders.wait', '{}', { expiration: '50' }), '4')
  assert.equal(await codeOf('shop.v1.Orders.place', '{}', { contentType: 'application/xml' }), '12')
  assert.equal(await codeOf('shop.v1.Orders.place', 'x'.repeat(70_000)), '8')
})

test('an answer may go to a queue, and a caller who is gone is a call cancelled', async (t) => {
  const world = await World.open(t)
  const watch = nobody()
  await world.provide(watch)
  const caller = await world.amqpChannel()
  const { queue } = await caller.assertQueue('', { exclusive: true })
  const answers: ConsumeMessage[] = []
  await caller.consume(queue, (message) => answers.push(message!), { noAck: true })
  const said = { replyTo: queue, correlationId: 'a' }
  caller.publish('amq.rpc', 'shop.v1.Orders.place', Buffer.from('{"sku":"tea"}'), said)
  await until(() => answers.length === 1, 'the answer')
  assert.equal(answers[0]!.properties.correlationId, 'a')
  caller.publish('amq.rpc', 'shop.v1.Orders.wait', Buffer.from('{}'), said)
  await caller.checkQueue(queue)
  await caller.deleteQueue(queue)
  await until(() => watch.cancelled === 1, 'the cancellation')
})

test('MQTT calls a typed service', async (t) => {
  const world = await World.open(t)
  await world.provide(nobody())
  const mqtt = await world.mqtt('device')
  const arrived: IPublishPacket[] = []
  mqtt.on('message', (_topic, _payload, packet) => arrived.push(packet))
  await mqtt.subscribeAsync('devices/7/answers', { qos: 1 })
  const call = async (
    topic: string,
    body: string,
    more: IClientPublishOptions['properties'] = {},
  ): Promise<IPublishPacket> => {
    const count = arrived.length
    const properties = {
      ...{ responseTopic: 'devices/7/answers', correlationData: Buffer.from([0, 255, count]) },
      ...more,
    }
    await mqtt.publishAsync(topic, body, { qos: 1, properties })
    await until(() => arrived.length > count, 'an answer')
    return arrived.at(-1)!
  }
  const answer = await call('$rpc/shop.v1.Orders/place', '{"sku":"tea"}', {
    userProperties: { tenant: 'acme' },
  })
  assert.equal(String(answer.payload), '{"id":"tea-1"}')
  assert.deepEqual(answer.properties!.correlationData, Buffer.from([0, 255, 0]))
  assert.deepEqual({ ...answer.properties!.userProperties }, { 'grpc-status': '0', took: '3ms' })
  const failed = await call('$rpc/shop.v1.Orders/place', '{"sku":"tea","count":9}')
  assert.equal(failed.properties!.userProperties!['grpc-status'], '9')
  const late = await call('$rpc/shop.v1.Orders/wait', '{}', { messageExpiryInterval: 1 })
  assert.equal(late.properties!.userProperties!['grpc-status'], '4')
  const none = await call('$rpc/shop.v1.None/wait', '{}')
  assert.equal(none.properties!.userProperties!['grpc-status'], '14')
})

test('consumers of a queue provide a service, for all callers', async (t) => {
  const world = await World.open(t)
  const worker = await world.amqpChannel()
  await worker.assertQueue(QUEUE, { durable: false, autoDelete: true })
  const requests: ConsumeMessage[] = []
  await worker.consume(QUEUE, (message) => {
    requests.push(message!)
    const { replyTo, correlationId } = message!.properties as {
      readonly replyTo: string
      readonly correlationId: string
    }
    const answer = (
      body: object,
      headers: Readonly<Record<string, string | number>> = {},
    ): void => {
      worker.sendToQueue(replyTo, Buffer.from(JSON.stringify(body)), { correlationId, headers })
      worker.ack(message!)
    }
    const { sku } = jsonOf(message!) as { sku: string }
    if (sku === 'none') {
      const type = 'json/shop.v1.Orders.OutOfStock'
      answer(
        { details: [{ type, debug: { left: 0 } }] },
        { 'grpc-status': 9, 'grpc-message': 'no' },
      )
    } else if (sku === 'odd') answer({ id: 5 })
    else if (sku === 'long') answer({ id: 'x'.repeat(70_000) })
    else answer({ id: sku }, { took: '1ms' })
  })
  const orders = createClient(Orders, world.rpc, { policy: { retry: { attemptsMax: 1 } } })
  assert.deepEqual(await orders.place({ sku: 'tea' }, { metadata: { tenant: 'acme' } }), {
    id: 'tea',
  })
  const { fields, properties } = requests[0]!
  assert.deepEqual([fields.exchange, fields.routingKey], ['amq.rpc', 'shop.v1.Orders.place'])
  assert.equal(properties.contentType, 'application/json')
  assert.ok(Number(properties.expiration) > 9000)
  assert.deepEqual({ ...properties.headers }, { tenant: 'acme' })
  const failed = await failure(orders.place({ sku: 'none' }))
  assert.deepEqual([failed.code, failed.message], ['FAILED_PRECONDITION', 'no'])
  assert.deepEqual(errorOf(Orders, 'place', failed), { name: 'OutOfStock', data: { left: 0 } })
  assert.equal((await failure(orders.place({ sku: 'odd' }))).code, 'INTERNAL')
  assert.equal((await failure(orders.place({ sku: 'long' }))).code, 'RESOURCE_EXHAUSTED')
  const caller = await AmqpCaller.open(world.amqp)
  const answer = await caller.call('shop.v1.Orders.place', '{"sku":"cup"}')
  assert.deepEqual(
    [jsonOf(answer), headersOf(answer)],
    [{ id: 'cup' }, { 'grpc-status': '0', took: '1ms' }],
  )
})

test('who takes a call and dies fails it at once, and who comes later provides again', async (t) => {
  const world = await World.open(t)
  const orders = createClient(Orders, world.rpc, { policy: { retry: { attemptsMax: 1 } } })
  const first = await failure(orders.place({ sku: 'tea' }))
  assert.deepEqual([first.code, hopOf(first)?.stage], ['UNAVAILABLE', 'unrouted'])
  const worker = await connect(`amqp://guest:guest@127.0.0.1:${world.broker.port('amqp')}`)
  const channel = await worker.createChannel()
  await channel.assertQueue(QUEUE)
  let taken = 0
  await channel.consume(QUEUE, () => void (taken += 1))
  const lost = failure(orders.place({ sku: 'tea' }, { deadlineMs: 60_000 }))
  await until(() => taken === 1, 'the call')
  await worker.close()
  const error = await lost
  assert.deepEqual([error.code, hopOf(error)?.stage], ['UNAVAILABLE', 'delivered'])
  assert.match(error.message, /the last consumer of queue 'rpc-worker\.shop\.v1\.Orders' has gone/)
  const after = await failure(orders.place({ sku: 'tea' }))
  assert.equal(hopOf(after)?.stage, 'unrouted')
})

test('whoever may not call or be answered there is refused', async (t) => {
  const world = await World.open(t)
  await world.provide(nobody())
  await world.addUser('clerk', { write: '^(amq\\.rpc|mine)$', read: '.*' })
  const clerk = await world.amqpChannel('clerk:clerk')
  const caller = await AmqpCaller.open(clerk)
  const refused = await caller.call('shop.v1.Orders.place', '{"sku":"tea"}')
  assert.equal(headersOf(refused)['grpc-status'], '7')
  assert.match(String(headersOf(refused)['grpc-message']), /queue 'rpc\.shop\.v1\.Orders'/)
  // It may not publish to the default exchange, so that no call makes the broker do it.
  await world.amqp.assertQueue('others')
  const said = { replyTo: 'others', correlationId: 'a' }
  clerk.publish('amq.rpc', 'shop.v1.Orders.place', Buffer.from('{"sku":"tea"}'), said)
  await caller.call('shop.v1.Orders.place', '{}')
  assert.equal((await world.amqp.checkQueue('others')).messageCount, 0)
})

test('an MQTT device provides a service', async (t) => {
  const world = await World.open(t)
  const device = await world.mqtt('device')
  const topics: string[] = []
  device.on('message', (topic, payload, { properties }) => {
    topics.push(topic)
    const { sku } = JSON.parse(payload.toString()) as { sku: string }
    const isBad = sku === 'bad'
    device.publish(properties!.responseTopic!, isBad ? '' : JSON.stringify({ id: sku }), {
      properties: {
        correlationData: properties!.correlationData!,
        ...(isBad ? { userProperties: { 'grpc-status': 'NOT_FOUND' } } : {}),
      },
    })
  })
  await device.subscribeAsync('$rpc/shop.v1.Orders/#', { qos: 1 })
  const orders = createClient(Orders, world.rpc, { policy: { retry: { attemptsMax: 1 } } })
  assert.deepEqual(await orders.place({ sku: 'tea' }), { id: 'tea' })
  assert.equal((await failure(orders.place({ sku: 'bad' }))).code, 'NOT_FOUND')
  assert.deepEqual(topics[0], '$rpc/shop.v1.Orders/place')
  const caller = await AmqpCaller.open(world.amqp)
  assert.deepEqual(jsonOf(await caller.call('shop.v1.Orders.place', '{"sku":"cup"}')), {
    id: 'cup',
  })
  await device.endAsync(true)
  const after = await failure(orders.place({ sku: 'tea' }))
  assert.equal(after.code, 'UNAVAILABLE')
  await assert.rejects(world.mqtt('other').then((mqtt) => mqtt.subscribeAsync('$rpc/a.B/c')))
})

async function failure(call: Promise<unknown>): Promise<RpcError> {
  const error: unknown = await call.then(
    (value) => assert.fail(`it was answered: ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof RpcError)
  return error
}
