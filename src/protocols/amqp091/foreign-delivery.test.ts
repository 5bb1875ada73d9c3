import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Amqp091Harness, settled, type Wire } from '../../../test/support/amqp091-harness.ts'
import type { FieldValue } from '../../codec/amqp091/index.ts'
import { encodeAddress } from '../../model/address.ts'
import { NO_PROPERTIES } from '../../model/canonical-properties.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import type { NativeForm } from '../../model/native-form.ts'

const FORM_ID = 200

/** A protocol whose header bytes are one header's value. */
const FORM: NativeForm = {
  id: FORM_ID,
  name: 'foreign',
  headers: () => null,
  property: () => null,
  extraKeys: () => null,
  expiration: () => '60000',
  canonical(header, start, end) {
    const value = header.toString('utf8', start, end)
    if (value === 'broken') throw new Error('broken')
    const headers = [{ name: 'said', value }]
    return { ...NO_PROPERTIES, headers, persistent: true, expirationMs: 60_000 }
  },
}

interface Foreign {
  readonly form?: number
  readonly key?: string
  readonly said?: string
}

function publishForeign(harness: Amqp091Harness, given: Foreign = {}): void {
  const { form = FORM_ID, key = 'q', said = 'hello' } = given
  const vhost = harness.broker.vhost('/')!
  const draft = new MessageDraft()
  draft.form = form
  draft.persistent = true
  const address = encodeAddress('', key)
  draft.setAddress(address, 0, address.length)
  const header = Buffer.from(said)
  draft.setHeader(header, 0, header.length)
  draft.setBody(Buffer.from('body'), 0, 4)
  vhost.publish(vhost.route(vhost.exchange('')!, key), draft)
}

async function opened(harness: Amqp091Harness): Promise<Wire> {
  harness.broker.registerForm(FORM)
  const wire = await harness.channel()
  await declare(wire, 'q')
  return wire
}

async function declare(
  wire: Wire,
  queue: string,
  table: readonly (readonly [string, FieldValue])[] = [],
): Promise<void> {
  wire.method(1, { name: 'queue.declare', queue, exclusive: true, arguments: new Map(table) })
  await wire.expect('queue.declare-ok')
}

async function consume(wire: Wire, queue: string): Promise<void> {
  wire.method(1, { name: 'basic.consume', queue, consumerTag: queue })
  await wire.expect('basic.consume-ok')
}

const SHOWN = { deliveryMode: 2, expiration: '60000', headers: new Map([['said', 'hello']]) }

test('consumers, basic.get and reply consumers get a content header of a foreign message', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await opened(harness)
  publishForeign(harness)
  await settled()
  wire.method(1, { name: 'basic.get', queue: 'q', noAck: true })
  const got = await wire.message('basic.get-ok')
  assert.deepEqual([got.properties, got.body], [SHOWN, 'body'])
  await consume(wire, 'q')
  publishForeign(harness)
  const delivered = await wire.message('basic.deliver')
  assert.deepEqual([delivered.properties, delivered.body], [SHOWN, 'body'])
  assert.equal(harness.protocol.connections()[0]!.lostCount, 0)
})

test('a direct reply from another protocol has a content header', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await opened(harness)
  const replyTo = 'amq.rabbitmq.reply-to'
  wire.method(1, { name: 'basic.consume', queue: replyTo, consumerTag: 'r', noAck: true })
  await wire.expect('basic.consume-ok')
  wire.publish(1, { key: 'q', properties: { replyTo } }, 'ask')
  wire.method(1, { name: 'basic.get', queue: 'q', noAck: true })
  const asked = await wire.message('basic.get-ok')
  publishForeign(harness, { key: asked.properties.replyTo! })
  const reply = await wire.message('basic.deliver')
  assert.deepEqual([reply.method.consumerTag, reply.properties, reply.body], ['r', SHOWN, 'body'])
})

test('what nobody can read is delivered with a mark, and the next message as ever', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await opened(harness)
  await consume(wire, 'q')
  publishForeign(harness, { form: 99 })
  publishForeign(harness, { said: 'broken' })
  wire.publish(1, { key: 'q', properties: { messageId: 'm' } }, 'own')
  for (const form of [99, FORM_ID]) {
    const { properties, body } = await wire.message('basic.deliver')
    const headers = new Map([['x-unknown-form', form]])
    assert.deepEqual([properties, body], [{ deliveryMode: 2, headers }, 'body'])
  }
  const own = await wire.message('basic.deliver')
  assert.deepEqual([own.properties, own.body], [{ messageId: 'm' }, 'own'])
  assert.equal(harness.protocol.connections()[0]!.lostCount, 2)
})

test('a foreign dead letter tells its story and does not expire again', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await opened(harness)
  await declare(wire, 'dead')
  await declare(wire, 'source', [
    ['x-dead-letter-exchange', ''],
    ['x-dead-letter-routing-key', 'dead'],
  ])
  publishForeign(harness, { key: 'source' })
  await consume(wire, 'source')
  const { method } = await wire.message('basic.deliver')
  wire.method(1, { name: 'basic.reject', deliveryTag: method.deliveryTag, requeue: false })
  await consume(wire, 'dead')
  const { properties } = await wire.message('basic.deliver')
  assert.equal(properties.expiration, undefined)
  assert.equal(properties.headers?.get('said'), 'hello')
  assert.equal(properties.headers?.get('x-first-death-queue'), 'source')
})

test('headers are cut to the frame that the client agreed on', async (t) => {
  const harness = await Amqp091Harness.open(t)
  harness.broker.registerForm(FORM)
  const wire = await harness.channel({ frameMax: 4096 })
  await declare(wire, 'q')
  await consume(wire, 'q')
  publishForeign(harness, { said: 'x'.repeat(5000) })
  const { properties, body } = await wire.message('basic.deliver')
  assert.deepEqual(properties.headers, new Map([['x-headers-left-out', 1]]))
  assert.equal(body, 'body')
  assert.equal(harness.protocol.connections()[0]!.lostCount, 1)
})
