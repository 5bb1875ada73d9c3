/** Spans of traced messages at an OTLP receiver, and `traceparent` in every protocol's headers. */
import assert from 'node:assert/strict'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { connectAsync } from 'mqtt'
import { getOne } from '../../support/amqp-messages.ts'
import { CommandFolder } from '../../support/command.ts'

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
const PARENT_ID = 'b7ad6b7169203331'
const PARENT = `00-${TRACE_ID}-${PARENT_ID}-01`
const STATE = 'vendor=x:1'
const WAITS_MAX = 200

interface Span {
  readonly name: string
  readonly kind: number
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly { key: string; value: Record<string, unknown> }[]
  readonly links?: readonly { spanId: string }[]
  readonly status: { readonly code?: number; readonly message?: string }
}

/** Takes what exporters send by OTLP over HTTP, in JSON. */
class Receiver implements AsyncDisposable {
  readonly spans: Span[] = []
  services: unknown[] = []
  readonly #server = createServer((request, response) => {
    void this.#take(request).then(() => {
      response.setHeader('content-type', 'application/json')
      response.end('{}')
    })
  })

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1/traces`
  }

  /** Resolves when so many spans came. */
  async until(isWanted: (span: Span) => boolean, count: number): Promise<Span[]> {
    for (let left = WAITS_MAX; left > 0; left--) {
      const found = this.spans.filter(isWanted)
      if (found.length >= count) return found
      await delay(50)
    }
    throw new Error(`expected ${count} spans, found ${this.spans.map(({ name }) => name).join()}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #take(request: IncomingMessage): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { resourceSpans } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as {
      resourceSpans: {
        resource: { attributes: { key: string; value: unknown }[] }
        scopeSpans: { spans: Span[] }[]
      }[]
    }
    for (const { resource, scopeSpans } of resourceSpans) {
      this.services = resource.attributes
      for (const { spans } of scopeSpans) this.spans.push(...spans)
    }
  }
}

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

test('spans have the parent that the publisher named', async () => {
  await using receiver = new Receiver()
  const endpoint = await receiver.listen()
  const settings = [`tracing.otlp=${endpoint}`, 'tracing.sample=100%', 'tracing.serviceName=mail']
  const args = settings.flatMap((setting) => ['--set', setting])
  await using command = folder.start(folder.freshDirectory(), ...args)
  const { listeners } = await command.ready()
  const connection = await connect(`amqp://${listeners['amqp']}`)
  const channel = await connection.createConfirmChannel()
  const mqtt = await connectAsync(`mqtt://${listeners['mqtt']}`, {
    ...{ protocolVersion: 5, clientId: 'meter', reconnectPeriod: 0 },
    ...{ username: 'guest', password: 'guest' },
  })
  await channel.assertQueue('jobs', { arguments: { 'x-queue-type': 'quorum' } })
  await channel.bindQueue('jobs', 'amq.topic', 'plant.#')
  await mqtt.subscribeAsync('plant/#', { qos: 1 })
  const arrived = new Promise<Record<string, unknown>>((resolve) => {
    mqtt.once('message', (_topic, _payload, packet) => {
      resolve({ ...packet.properties?.userProperties })
    })
  })
  channel.publish('amq.topic', 'plant.1', Buffer.from('x'), {
    persistent: true,
    messageId: 'm-1',
    headers: { traceparent: PARENT, tracestate: STATE },
  })
  await channel.waitForConfirms()
  assert.deepEqual((({ traceparent, tracestate }) => [traceparent, tracestate])(await arrived), [
    PARENT,
    STATE,
  ])
  channel.nack(await getOne(channel, 'jobs'), false, true)
  channel.ack(await getOne(channel, 'jobs'))
  channel.sendToQueue('jobs', Buffer.from('x'), { headers: { traceparent: 'nonsense' } })
  await channel.waitForConfirms()

  const found = await receiver.until(({ traceId }) => traceId === TRACE_ID, 4)
  const names = found.map(({ name }) => name).toSorted()
  const ofMeter = names.find((name) => name.startsWith('deliver mqtt'))!
  assert.deepEqual(names, ['deliver jobs', 'deliver jobs', ofMeter, 'publish amq.topic'])
  for (const { parentSpanId } of found) assert.equal(parentSpanId, PARENT_ID)
  const publish = found.find(({ name }) => name.startsWith('publish'))!
  const attributes = Object.fromEntries(publish.attributes.map(({ key, value }) => [key, value]))
  assert.deepEqual(attributes['messaging.message.id'], { stringValue: 'm-1' })
  assert.deepEqual(attributes['messaging.destination.name'], { stringValue: 'amq.topic' })
  assert.deepEqual(attributes['messaging.operation.type'], { stringValue: 'send' })
  assert.ok(BigInt(publish.endTimeUnixNano) >= BigInt(publish.startTimeUnixNano))
  for (const { name, links } of found) {
    const linked = links?.map(({ spanId }) => spanId) ?? []
    assert.deepEqual(linked, name.startsWith('publish') ? [] : [publish.spanId])
  }
  const failed = found.filter(({ status }) => status.code === 2)
  assert.deepEqual(
    failed.map(({ name, status }) => [name, status.message]),
    [['deliver jobs', 'failed']],
  )
  const service = { key: 'service.name', value: { stringValue: 'mail' } }
  assert.ok(receiver.services.some((each) => JSON.stringify(each) === JSON.stringify(service)))
  // What has no parent that can be read is the root of a trace of its own.
  await mqtt.endAsync(true)
  await connection.close()
  const [root] = await receiver.until(({ name }) => name === 'publish (default)', 1)
  assert.notEqual(root!.traceId, TRACE_ID)
  assert.equal(root!.parentSpanId, undefined)
})

test('traceparent and tracestate pass from each protocol to each other', async () => {
  await using command = folder.start(folder.freshDirectory())
  const { listeners } = await command.ready()
  const connection = await connect(`amqp://${listeners['amqp']}`)
  const channel = await connection.createConfirmChannel()
  const kafka = new Kafka({
    clientId: 'crossing',
    brokers: [listeners['kafka']!],
    logLevel: logLevel.NOTHING,
  })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'events' }] })
  await admin.disconnect()
  await channel.assertExchange('events', 'topic')
  await channel.assertQueue('copies')
  await channel.bindQueue('copies', 'events', '#')
  await channel.bindQueue('copies', 'amq.topic', 'plant.#')
  await channel.bindQueue('events', 'amq.topic', 'plant.#')
  const mqtt = await connectAsync(`mqtt://${listeners['mqtt']}`, {
    ...{ protocolVersion: 5, clientId: 'meter', reconnectPeriod: 0 },
    ...{ username: 'guest', password: 'guest' },
  })
  const userProperties = { traceparent: PARENT, tracestate: STATE }
  await mqtt.publishAsync('plant/1', 'x', { qos: 1, properties: { userProperties } })
  const producer = kafka.producer()
  await producer.connect()
  const headers = { traceparent: PARENT, tracestate: STATE }
  await producer.send({ topic: 'events', messages: [{ value: 'x', headers }] })
  await producer.disconnect()
  // From MQTT and from Kafka to AMQP.
  for (let left = 2; left > 0; left--) {
    const { properties } = await getOne(channel, 'copies')
    const { traceparent, tracestate } = properties.headers as Record<string, unknown>
    assert.deepEqual([traceparent, tracestate].map(String), [PARENT, STATE])
  }
  // From MQTT, and from itself, to Kafka.
  const consumer = kafka.consumer({ groupId: 'readers' })
  await consumer.connect()
  await consumer.subscribe({ topic: 'events', fromBeginning: true })
  const seen: string[][] = []
  await new Promise<void>((resolve, reject) => {
    const eachMessage = async ({
      message,
    }: {
      message: { headers?: Record<string, unknown> }
    }): Promise<void> => {
      const { traceparent, tracestate } = message.headers ?? {}
      seen.push([traceparent, tracestate].map(String))
      if (seen.length === 2) resolve()
      return Promise.resolve()
    }
    consumer.run({ eachMessage }).catch(reject)
  })
  await consumer.disconnect()
  assert.deepEqual(seen, [
    [PARENT, STATE],
    [PARENT, STATE],
  ])
  await mqtt.endAsync(true)
  await connection.close()
})
