/** Dead letters go back to where they died: to a session of MQTT, and through a power cut. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from 'amqplib'
import { connectAsync, type IPublishPacket } from 'mqtt'
import type { RedriveView } from '../../../src/broker/redrives.ts'
import { TraceWorld } from '../../support/trace-world.ts'

const POLICY = {
  pattern: '^mqtt',
  definition: { 'dead-letter-exchange': '', 'dead-letter-routing-key': 'dead' },
}
const IMPLEMENTATION_ERROR = 0x83

async function redriveOf(world: TraceWorld, id: number): Promise<RedriveView> {
  return (await world.request('GET', `/v1/redrives/${id}`)) as RedriveView
}

test('what a client of MQTT refused comes to its session again', async () => {
  await using world = await TraceWorld.open()
  await world.channel.assertQueue('dead')
  await world.request('PUT', '/v1/policies/%2F/dead', POLICY)
  let refuses = true
  const got: IPublishPacket[] = []
  const client = await connectAsync(`mqtt://127.0.0.1:${world.broker.port('mqtt')}`, {
    ...{ protocolVersion: 5, clientId: 'meter', clean: false, reconnectPeriod: 0 },
    ...{ username: 'guest', password: 'guest' },
    properties: { sessionExpiryInterval: 3600 },
    customHandleAcks: (_topic, _message, packet, done) => {
      got.push(packet as IPublishPacket)
      done(refuses ? IMPLEMENTATION_ERROR : 0)
    },
  })
  await client.subscribeAsync('plant/+/temp', { qos: 1 })
  for (const n of ['1', '2', '3']) {
    const properties = { userProperties: { 'message-id': `m-${n}`, bad: 'yes' } }
    await world.mqtt.publishAsync(`plant/${n}/temp`, n, { qos: 1, properties })
  }
  await world.until('dead', 3)
  refuses = false
  const asked = {
    filter: { id: 'm-2' },
    removeHeaders: ['bad'],
    bodyBase64: Buffer.from('mended').toString('base64'),
  }
  await world.post('/v1/destinations/%2F/dead/redrive', asked)
  await world.until('dead', 2)
  await world.broker.waitFor(() => got.length === 4)
  const [, , , mended] = got
  assert.deepEqual([mended!.topic, mended!.payload.toString()], ['plant/2/temp', 'mended'])
  const { bad, 'message-id': messageId } = mended!.properties!.userProperties!
  assert.deepEqual([bad, messageId], [undefined, 'm-2'])
  await world.post('/v1/destinations/%2F/dead/redrive', {})
  await world.broker.waitFor(() => got.length === 6)
  assert.deepEqual(
    got.slice(4).map(({ topic, payload }) => [topic, payload.toString()]),
    [
      ['plant/1/temp', '1'],
      ['plant/3/temp', '3'],
    ],
  )
  await world.until('dead', 0)
  await client.endAsync(true)
})

test('a redrive that a power cut ends goes on, and each message comes once', async () => {
  await using world = await TraceWorld.open()
  const { channel, broker } = world
  const dead = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
  await channel.assertQueue('work', { arguments: dead })
  await channel.assertQueue('dead')
  const count = 400
  for (let n = 0; n < count; n++) {
    channel.sendToQueue('work', Buffer.from(`m${n}`), { persistent: true })
  }
  await channel.waitForConfirms()
  await channel.consume('work', (message) => channel.reject(message!, false), {
    consumerTag: 'rejects',
  })
  await world.until('dead', count)
  await channel.cancel('rejects')
  const { id } = await world.post('/v1/destinations/%2F/dead/redrive', { rate: 100 })
  await broker.clock.advance('1s')
  const { moved } = await redriveOf(world, id as number)
  assert.ok(moved >= 50 && moved <= 200, `${moved} in a second`)
  await broker.crash('power-cut')
  const after = await redriveOf(world, id as number)
  assert.equal(after.state, 'running')
  assert.ok(after.moved <= moved + 100 && after.waiting === count, JSON.stringify(after))
  for (let left = 10; left > 0; left--) await broker.clock.advance('1s')
  const ended = await redriveOf(world, id as number)
  assert.deepEqual([ended.state, ended.moved, ended.looked], ['done', count, count])

  const connection = await connect(broker.url('amqp'))
  const reader = await connection.createChannel()
  const bodies: string[] = []
  await reader.consume('work', (message) => bodies.push(message!.content.toString()), {
    noAck: true,
  })
  await broker.waitFor(() => bodies.length >= count)
  await broker.settle()
  assert.deepEqual(bodies.toSorted(), Array.from({ length: count }, (_, n) => `m${n}`).toSorted())
  assert.equal(broker.destination('dead').ready, 0)
  await connection.close()
})
