import { connect } from 'amqplib'
import { expect, test } from 'vitest'
import { startTestBroker } from 'waystation/testing'
import { startWorker } from './worker.ts'

test('an order is charged once the bank is back', async () => {
  await using broker = await startTestBroker()
  const connection = await connect(broker.url('amqp'))
  const channel = await connection.createChannel()
  const charged: string[] = []
  let isOpen = false
  await startWorker(channel, async (order) => {
    if (!isOpen) throw new Error('the bank is closed')
    charged.push(order)
  })
  channel.sendToQueue('orders', Buffer.from('order 1'))

  await broker.clock.advance('10m')
  expect(charged).toEqual([])
  isOpen = true
  await broker.clock.advance('20m')

  expect(charged).toEqual(['order 1'])
  expect(broker.destination('orders').ready).toBe(0)
  await connection.close()
})
