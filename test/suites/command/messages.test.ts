import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { connect } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { getOne } from '../../support/amqp-messages.ts'
import { CommandFolder } from '../../support/command.ts'

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

test('what is published by command is browsed and left for AMQP and Kafka clients', async () => {
  const data = folder.freshDirectory()
  await using command = folder.start(data)
  const { listeners } = await command.ready()
  const waystation = async (args: readonly string[], input?: string): Promise<string> => {
    const outcome = await folder.run(
      [...args, '--data', data],
      input === undefined ? {} : { input },
    )
    assert.equal(outcome.code, 0, outcome.stderr)
    return outcome.stdout
  }
  const connection = await connect(`amqp://${listeners['amqp']}`)
  const channel = await connection.createChannel()
  await channel.assertQueue('orders')
  const facts = ['--header', 'tenant=acme', '--content-type', 'text/plain', '--id', 'm-1']
  assert.equal(
    await waystation(['publish', 'an order', '--to', 'orders', ...facts]),
    '1 published and stored\n',
  )
  assert.match(
    await waystation(['browse', 'orders']),
    /^#\d+ {2}\S+Z {2}orders {2}8 bytes\n[^]*tenant: acme\n {2}an order\n$/,
  )
  const { content, properties } = await getOne(channel, 'orders')
  assert.equal(content.toString(), 'an order')
  assert.deepEqual(
    [properties.messageId, properties.contentType, properties.headers?.['tenant']],
    ['m-1', 'text/plain', 'acme'],
  )

  const kafka = new Kafka({ brokers: [listeners['kafka']!], logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'numbers', numPartitions: 1 }] })
  await admin.disconnect()
  assert.equal(
    await waystation(['publish', '--to', 'numbers', '--lines'], 'one\ntwo\nthree\n'),
    '3 published and stored\n',
  )
  const page = await waystation(['browse', 'numbers', '--from', '1', '--limit', '5', '--json'])
  const bodies = page.trim().split('\n')
  assert.deepEqual(
    bodies.map((line) => (JSON.parse(line) as { body: string }).body),
    ['two', 'three'],
  )

  const nowhere = await folder.run(['publish', 'x', '--exchange', 'amq.topic', '--data', data])
  assert.equal(nowhere.code, 1)
  assert.match(nowhere.stderr, /no queue or topic takes the message/)
  const vague = await folder.run(['publish', 'x', '--data', data])
  assert.equal(vague.code, 2)
  await connection.close()
})
