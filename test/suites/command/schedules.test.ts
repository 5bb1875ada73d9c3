import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type ConfirmChannel, connect } from 'amqplib'
import { getOne } from '../../support/amqp-messages.ts'
import { CommandFolder } from '../../support/command.ts'

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

async function publish(channel: ConfirmChannel, body: string, id?: string): Promise<void> {
  const headers = {
    'x-deliver-after': 3_600_000,
    ...(id === undefined ? {} : { 'x-schedule-id': id }),
  }
  channel.sendToQueue('q', Buffer.from(body), { persistent: true, headers })
  await channel.waitForConfirms()
}

test('what waits is listed, looked at, moved, fired and cancelled', async () => {
  const data = folder.freshDirectory()
  await using command = folder.start(data)
  const { listeners } = await command.ready()
  const run = async (...args: readonly string[]): Promise<string> => {
    const outcome = await folder.run(['schedules', ...args, '--data', data])
    assert.equal(outcome.code, 0, outcome.stderr)
    return outcome.stdout
  }
  const connection = await connect(`amqp://${listeners['amqp']}`)
  connection.on('error', () => undefined)
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('q')
  for (const [body, id] of [['a', 'one'], ['b'], ['c', 'three'], ['d', 'four']] as const) {
    await publish(channel, body, id)
  }
  const page = JSON.parse(await run('list', '--limit', '3', '--json')) as {
    messages: { id: string; routingKey: string; bytes: number }[]
    next: number
    pending: number
  }
  const [first, second, third] = page.messages
  assert.deepEqual([first?.id, third?.id, page.pending], ['one', 'three', 4])
  assert.match(second!.id, /^@\d+$/)
  assert.deepEqual([first?.routingKey, first?.bytes], ['q', 1])
  assert.match(await run('list', '--from', String(page.next)), /^id +due .*\nfour /)
  assert.match(await run('show', 'one'), /^id +one\n.*exchange +-\nroutingKey +q\ndueMs +20\d\d-/s)
  await run('cancel', 'one')
  await run('move', 'three', '--at', '2000-01-01T00:00:00Z')
  assert.equal((await getOne(channel, 'q')).content.toString(), 'c')
  await run('fire', second!.id)
  assert.equal((await getOne(channel, 'q')).content.toString(), 'b')
  await run('move', 'four', '--after', '7200')
  const four = JSON.parse(await run('show', 'four', '--json')) as { dueMs: number }
  assert.ok(four.dueMs > Date.now() + 7_000_000)
  const gone = await folder.run(['schedules', 'cancel', 'one', '--data', data])
  assert.equal(gone.code, 1)
  assert.match(gone.stderr, /nothing waits under 'one'/)
  assert.equal((await folder.run(['schedules', 'move', 'four', '--data', data])).code, 2)
  await connection.close()
})

test('recurring schedules are set, listed, fired and deleted', async () => {
  const data = folder.freshDirectory()
  await using command = folder.start(data)
  const { listeners } = await command.ready()
  const run = async (...args: readonly string[]): Promise<string> => {
    const outcome = await folder.run(['recurring', ...args, '--data', data])
    assert.equal(outcome.code, 0, outcome.stderr)
    return outcome.stdout
  }
  const connection = await connect(`amqp://${listeners['amqp']}`)
  connection.on('error', () => undefined)
  const channel = await connection.createChannel()
  await channel.assertQueue('q')
  const message = ['--body', 'hello', '--header', 'kind=test', '--content-type', 'text/plain']
  const zone = ['--zone', 'Europe/Berlin', '--key', 'q', '--start', '2099-12-31T00:00:00Z']
  assert.match(await run('set', 'year', '0 0 1 1 *', ...zone, ...message), /2099-12-31T23:00/)
  assert.match(await run('list'), /year +0 0 1 1 \* +Europe\/Berlin/)
  assert.match(await run('show', 'year'), /^vhost +\/\nname +year\ncron +0 0 1 1 \*\n/)
  await run('fire', 'year')
  const { content, properties } = await getOne(channel, 'q')
  assert.equal(content.toString(), 'hello')
  assert.deepEqual([properties.contentType, properties.deliveryMode], ['text/plain', 2])
  const headers = properties.headers as Record<string, unknown>
  assert.deepEqual([headers['kind'], headers['x-schedule-id']], ['test', 'year'])
  assert.match(await run('set', 'second', '* * * * * *', '--key', 'q', '--count', '2'), /due next/)
  while ((await channel.checkQueue('q')).messageCount < 2);
  assert.match(await run('show', 'second'), /nextMs +-\n/)
  await run('delete', 'second')
  await run('delete', 'year')
  const wrong = ['recurring', 'set', 'bad', 'often', '--key', 'q', '--data', data]
  const refused = await folder.run(wrong)
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /'often' in 'UTC' is no schedule/)
  await connection.close()
})

test('a policy turns deduplication on and off, and what was dropped is counted', async () => {
  const data = folder.freshDirectory()
  await using command = folder.start(data)
  const { listeners } = await command.ready()
  const run = async (...args: readonly string[]): Promise<string> => {
    const outcome = await folder.run([...args, '--data', data])
    assert.equal(outcome.code, 0, outcome.stderr)
    return outcome.stdout
  }
  const connection = await connect(`amqp://${listeners['amqp']}`)
  connection.on('error', () => undefined)
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('q')
  const send = async (): Promise<void> => {
    channel.sendToQueue('q', Buffer.from('x'), { persistent: true, messageId: 'a' })
    await channel.waitForConfirms()
  }
  await send()
  await run('set-policy', 'dedup', '^q$', '{"deduplication-window": 60000}')
  for (let left = 3; left > 0; left--) await send()
  const [queue] = JSON.parse(await run('queues', 'list', '--json')) as Record<string, unknown>[]
  assert.deepEqual([queue!['ready'], queue!['deduplicated'], queue!['idsForgotten']], [2, 2, 0])
  await run('delete-policy', 'dedup')
  await send()
  assert.equal((await channel.checkQueue('q')).messageCount, 3)
  await connection.close()
})
