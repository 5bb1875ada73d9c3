import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, test } from 'node:test'
import { type ChannelModel, connect } from 'amqplib'
import { CommandFolder } from '../../support/command.ts'

/** All that amqplib says of a connection that is closed in the place of being opened. */
const REFUSED = /Expected ConnectionOpenOk; got <ConnectionClose/

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

async function refusalOf(action: Promise<unknown>): Promise<string> {
  const error = await action.then(
    () => assert.fail('it was not refused'),
    (reason: unknown) => reason as Error,
  )
  return error.message
}

/** Opens a channel on a connection that dies with it. */
async function refusedChannel(connection: ChannelModel): Promise<string> {
  // It rejects with the error that comes before.
  const refused = refusalOf(once(connection, 'close'))
  connection.createChannel().catch(() => undefined)
  return refused
}

test('limits of users and virtual hosts are set, shown, kept over a restart, and cleared', async () => {
  const data = folder.freshDirectory()
  const run = async (...args: readonly string[]): Promise<string> => {
    const outcome = await folder.run([...args, '--data', data])
    assert.equal(outcome.code, 0, outcome.stderr)
    return outcome.stdout
  }
  {
    await using command = folder.start(data)
    await command.ready()
    await run('set-vhost-limits', '{"max-connections": 2, "max-queues": 1}', '--vhost', '/')
    await run('set-user-limits', 'guest', '{"max-channels": 2, "publish-rate": 50}')
    await run('set-user-limits', 'guest', '{"max-connections": 1}')
    const wrong = await folder.run([
      'set-user-limits',
      'guest',
      '{"max-queues": 1}',
      '--data',
      data,
    ])
    assert.match(wrong.stderr, /unrecognised limit 'max-queues'/)
  }
  await using command = folder.start(data)
  const { listeners } = await command.ready()
  const url = `amqp://${listeners['amqp']}`
  const [user] = JSON.parse(await run('users', 'list', '--json')) as [{ limits: unknown }]
  const limits = { 'max-channels': 2, 'publish-rate': 50, 'max-connections': 1 }
  assert.deepEqual(user.limits, limits)
  const connection = await connect(url)
  connection.on('error', () => {
    // Looked at where it is expected.
  })
  assert.match(await refusalOf(connect(url)), REFUSED)
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('one')
  const other = await connection.createChannel()
  other.on('error', () => {
    // The promise below says it too.
  })
  assert.match(
    await refusalOf(other.assertQueue('two')),
    /PRECONDITION_FAILED - cannot declare queue 'two': queue limit in vhost '\/' \(1\) is reached/,
  )
  const blocked = once(connection, 'blocked')
  for (let n = 0; n < 200; n++) channel.sendToQueue('one', Buffer.from(`${n}`))
  assert.match(
    ((await blocked) as [string])[0],
    /^publish rate of user 'guest' is 50\/s, again in \d+ ms$/,
  )
  const shown = await run('connections', 'list')
  assert.match(shown, /publish rate of user 'guest' is 50\/s/)
  await run('clear-user-limits', 'guest', 'publish-rate')
  await once(connection, 'unblocked')
  await channel.waitForConfirms()
  await connection.createChannel()
  assert.match(
    await refusedChannel(connection),
    /NOT_ALLOWED - number of channels opened for user 'guest' has reached the maximum allowed user limit of \(2\)/,
  )
  await run('clear-user-limits', 'guest', 'all')
  const first = await connect(url)
  const second = await connect(url)
  assert.match(await refusalOf(connect(url)), REFUSED)
  await run('clear-vhost-limits', '--vhost', '/')
  const third = await connect(url)
  await Promise.all([first, second, third].map(async (each) => each.close()))
})
