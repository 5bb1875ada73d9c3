/** The default queue type of a virtual host, set by RabbitMQ's management API, and what is declared then. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from 'amqplib'
import { startBroker } from '../../../src/server/index.ts'

interface QueueView {
  readonly name: string
  readonly type: string
}

test('a queue without a type has that of its virtual host, where it can', async () => {
  await using broker = await startBroker({ listen: { http: 0 } })
  const ask = async (method: string, where: string, body?: object): Promise<unknown> => {
    const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
    const answer = await fetch(`${broker.url('http')}/api/${where}`, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    assert.ok(answer.ok, text)
    return text === '' ? null : JSON.parse(text)
  }
  await ask('PUT', 'vhosts/shop', { default_queue_type: 'quorum' })
  await ask('PUT', 'permissions/shop/guest', { configure: '.*', write: '.*', read: '.*' })
  const connection = await connect(`${broker.url()}/shop`)
  const channel = await connection.createChannel()
  await channel.assertQueue('kept')
  // The same again is the same.
  await channel.assertQueue('kept')
  await channel.assertQueue('own', { exclusive: true })
  await channel.assertQueue('passing', { durable: false })
  await channel.assertQueue('chosen', { arguments: { 'x-queue-type': 'classic' } })
  await ask('PUT', 'queues/shop/by-http', { durable: true })
  const queues = (await ask('GET', 'queues/shop')) as readonly QueueView[]
  assert.deepEqual(Object.fromEntries(queues.map(({ name, type }) => [name, type])), {
    kept: 'quorum',
    own: 'classic',
    passing: 'classic',
    chosen: 'classic',
    'by-http': 'quorum',
  })
  await connection.close()
})
