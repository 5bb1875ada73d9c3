/** A broker whose memory is used up by what a client declares: what others see of it, and how it ends. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import amqplib, { type Channel } from 'amqplib'
import { waitFor } from '../../src/testing/wait-for.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { HealthWatch } from '../support/health-watch.ts'
import { RawClient } from '../support/raw-client.ts'

const WITHIN_MS = 90_000
/** Far more than fit; the watermark must come first. */
const BINDINGS_MAX = 20_000
const AT_ONCE = 100
/** Kept with each binding, in memory too. */
const NOTE = new Map([['note', 'x'.repeat(8000)]])

/** Binds until the channel is closed for it; the words, and how many there were. */
async function bindWithoutEnd(client: RawClient): Promise<{ words: string; count: number }> {
  for (let count = 0; count < BINDINGS_MAX; count += AT_ONCE) {
    for (let n = count; n < count + AT_ONCE; n++) {
      const routingKey = `key.${n}`
      const where = { queue: 'bound', exchange: 'amq.topic', nowait: true } as const
      const binding = { ...where, routingKey, arguments: NOTE }
      client.sendMethod(1, { name: 'queue.bind', ...binding })
    }
    // The answer to it comes behind all of them.
    client.sendMethod(1, { name: 'basic.qos', prefetchCount: 1 })
    const incoming = await client.next(WITHIN_MS)
    assert.ok(incoming?.kind === 'method')
    const { method } = incoming
    if (method.name === 'channel.close') return { words: method.replyText, count }
    assert.equal(method.name, 'basic.qos-ok')
  }
  return assert.fail(`all of ${BINDINGS_MAX} bindings were taken`)
}

async function readyStatus(port: number): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/health/ready`)
  return `${answer.status} ${await answer.text()}`
}

function nextOf(channel: Channel, queue: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const taken = channel.consume(queue, (message) => {
      if (message === null) return
      channel.ack(message)
      resolve(message.content.toString())
    })
    taken.catch(reject)
  })
}

test('low memory: publishers wait, declarations are refused, consumers go on, and it ends by itself', async (t) => {
  await using broker = new BrokerProcess({ nodeFlags: ['--max-old-space-size=48'] })
  await broker.start()
  // What the broker writes later pushes out where it listens.
  const { httpPort } = broker
  const url = `amqp://guest:guest@127.0.0.1:${broker.port}`
  const target = { url, host: '127.0.0.1', port: broker.port, user: 'guest', password: 'guest' }
  const publisher = await amqplib.connect(url)
  publisher.on('error', () => undefined)
  const channel = await publisher.createConfirmChannel()
  await channel.assertQueue('letters')
  channel.sendToQueue('letters', Buffer.from('before'))
  await channel.waitForConfirms()
  const consumer = await amqplib.connect(url)
  consumer.on('error', () => undefined)
  const reader = await consumer.createChannel()
  const blocked = once(publisher, 'blocked')
  const client = await RawClient.open({ ...target, process: broker })
  await client.openChannel(1)
  client.sendMethod(1, { name: 'queue.declare', queue: 'bound', durable: true })
  await client.method('queue.declare-ok')

  await using health = await HealthWatch.open(httpPort, broker.pid!)
  const { words, count } = await bindWithoutEnd(client)
  t.diagnostic(`${count} bindings were taken`)
  assert.match(
    words,
    /PRECONDITION_FAILED - cannot bind queue 'bound' .*the broker is low on memory/,
  )
  assert.match(await readyStatus(httpPort), /^503 .*low on memory/)
  channel.sendToQueue('letters', Buffer.from('meanwhile'))
  assert.deepEqual(await blocked, ['low on memory'])
  const unblocked = once(publisher, 'unblocked')
  assert.equal(await nextOf(reader, 'letters'), 'before')

  client.sendMethod(1, { name: 'channel.close-ok' })
  await client.openChannel(2)
  client.sendMethod(2, { name: 'queue.delete', queue: 'bound' })
  await client.method('queue.delete-ok', WITHIN_MS)
  await unblocked
  await channel.waitForConfirms()
  assert.match(await readyStatus(httpPort), /^200 /)
  await waitFor(async () => (await channel.checkQueue('letters')).messageCount === 0, {
    timeoutMs: WITHIN_MS,
    expected: () => 'the message that waited to be consumed',
    found: () => 'it waits',
  })
  await channel.assertQueue('again')
  t.diagnostic(await health.verdict())
  assert.deepEqual(
    broker.output.split('\n').filter((line) => /"level":"(error|fatal)"/.test(line)),
    [],
  )
  client.destroy()
  await Promise.all([publisher.close(), consumer.close()])
})
