/** What Kafka clients fetch is in the counters of topics and protocols, like what others are given. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { startBroker } from '../../../src/server/index.ts'
import { waitFor } from '../../../src/testing/wait-for.ts'

const COUNT = 7

test('records that a consumer fetched are counted as delivered', async (t) => {
  await using broker = await startBroker({ listen: { http: 0, kafka: 0 } })
  const kafka = new Kafka({
    brokers: [`127.0.0.1:${broker.port('kafka')}`],
    sasl: { mechanism: 'plain', username: 'guest', password: 'guest' },
    logLevel: logLevel.NOTHING,
  })
  const producer = kafka.producer()
  const consumer = kafka.consumer({ groupId: 'counted' })
  t.after(async () => Promise.all([producer.disconnect(), consumer.disconnect()]))
  await producer.connect()
  const messages = Array.from({ length: COUNT }, (_, n) => ({ value: `${n}` }))
  await producer.send({ topic: 'counted', messages })
  await consumer.connect()
  await consumer.subscribe({ topic: 'counted', fromBeginning: true })
  let got = 0
  await consumer.run({
    eachMessage: async () => {
      got += 1
    },
  })
  await waitFor(() => got === COUNT, {
    timeoutMs: 30_000,
    expected: () => `${COUNT} records`,
    found: () => String(got),
  })
  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
  const metrics = await fetch(`${broker.url('http')}/metrics`, { headers: { authorization } })
  const lines = (await metrics.text()).split('\n')
  const valueOf = (name: string, label: string): number => {
    const line = lines.find((each) => each.startsWith(name) && each.includes(label))
    return Number(line?.split(' ').at(-1))
  }
  assert.equal(valueOf('waystation_messages_delivered_total', 'protocol="Kafka"'), COUNT)
  assert.equal(valueOf('waystation_messages_given_out_total', 'vhost="/"'), COUNT)
})
