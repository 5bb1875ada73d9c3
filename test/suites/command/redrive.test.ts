import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { connect } from 'amqplib'
import { getOne } from '../../support/amqp-messages.ts'
import { CommandFolder } from '../../support/command.ts'

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

test('dead letters are counted, moved elsewhere with another header, and moved back', async () => {
  const data = folder.freshDirectory()
  await using command = folder.start(data)
  const { listeners } = await command.ready()
  const redrive = async (...args: readonly string[]): Promise<string> => {
    const outcome = await folder.run(['redrive', 'dead', ...args, '--data', data])
    assert.equal(outcome.code, 0, outcome.stderr)
    return outcome.stdout
  }
  const connection = await connect(`amqp://${listeners['amqp']}`)
  const channel = await connection.createConfirmChannel()
  const dead = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
  await channel.assertQueue('work', { arguments: dead })
  await channel.assertQueue('dead')
  await channel.assertQueue('inspect')
  for (const tenant of ['acme', 'other', 'other']) {
    channel.sendToQueue('work', Buffer.from(tenant), { headers: { tenant, bad: 'yes' } })
  }
  await channel.waitForConfirms()
  for (let left = 3; left > 0; left--) channel.reject(await getOne(channel, 'work'), false)
  while ((await channel.checkQueue('dead')).messageCount < 3);

  assert.match(await redrive('--dry-run'), /^3 would be moved, 3 of 3 looked at of queue dead/)
  const edited = ['--to', 'inspect', '--header', 'tenant=acme', '--set-header', 'seen=1']
  assert.match(await redrive(...edited, '--remove-header', 'bad'), /^1 moved, 3 of 3/)
  const inspected = await getOne(channel, 'inspect')
  const headers = inspected.properties.headers as Record<string, unknown>
  assert.equal(inspected.content.toString(), 'acme')
  assert.deepEqual(
    [headers['seen'], headers['bad'], headers['x-redrive-count']],
    ['1', undefined, 1],
  )
  assert.match(await redrive('--reason', 'rejected', '--rate', '1000'), /^2 moved/)
  const back = await getOne(channel, 'work')
  assert.equal(back.content.toString(), 'other')
  assert.deepEqual([back.fields.exchange, back.fields.routingKey], ['', 'work'])
  assert.equal((await channel.checkQueue('dead')).messageCount, 0)
  channel.reject(await getOne(channel, 'work'), false)
  while ((await channel.checkQueue('dead')).messageCount < 1);
  writeFileSync(`${data}.body`, 'mended')
  const body = ['--set-body-file', `${data}.body`, '--with-key', 'dead', '--to', 'inspect']
  assert.match(await redrive(...body), /^1 moved, 1 of 1 looked at of queue dead/)
  assert.equal((await getOne(channel, 'inspect')).content.toString(), 'mended')
  const listed = await folder.run(['redrives', 'list', '--data', data])
  assert.match(listed.stdout, /\n +4 +\/ +dead +done +no +1 +1 +1 +0/)
  const resumed = await folder.run(['resume-redrive', '4', '--data', data])
  assert.deepEqual([resumed.code, /redrive 4 is done/.test(resumed.stderr)], [1, true])
  const cancelled = await folder.run(['cancel-redrive', '4', '--data', data])
  assert.equal(cancelled.stdout, 'redrive 4 is cancelled\n')
  const wrong = await folder.run(['redrive', 'dead', '--rate', 'fast', '--data', data])
  assert.equal(wrong.code, 2)
  await connection.close()
})
