import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from 'amqplib'
import { startTestBroker } from 'waystation/testing'
import { startWorker } from './worker.ts'

test('an order that fails is tried again later and later, and then put aside', async () => {
  await using broker = await startTestBroker()
  const started = broker.clock.now()
  const connection = await connect(broker.url('amqp'))
  const channel = await connection.createChannel()
  const minutes: number[] = []
  await startWorker(channel, async () => {
    minutes.push((broker.clock.now() - started) / 60_000)
    throw new Error('the bank is closed')
  })
  channel.sendToQueue('orders', Buffer.from('order 1'))

  await broker.clock.advance('30m')

  assert.deepEqual(minutes, [0, 1, 3, 7, 15])
  const [failed] = await broker.destination('orders.failed').messages()
  assert.equal(failed?.text, 'order 1')
  assert.equal(failed.deaths[0]?.reason, 'delivery_limit')
  await connection.close()
})

test('no order is lost or charged for nothing when the broker is killed', async () => {
  await using broker = await startTestBroker()
  const publisher = await connect(broker.url('amqp'))
  publisher.on('error', () => {})
  const orders = await publisher.createConfirmChannel()
  await orders.assertQueue('orders')
  orders.sendToQueue('orders', Buffer.from('order 1'), { persistent: true })
  await orders.waitForConfirms()

  await broker.crash('power-cut')

  const [order] = await broker.destination('orders').messages()
  assert.equal(order?.text, 'order 1')
})
