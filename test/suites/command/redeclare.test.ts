import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type ChannelModel, connect } from 'amqplib'
import { CommandFolder } from '../../support/command.ts'

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

/** Declares on a channel of its own; the error that closes it is the result, or null. */
async function declare(
  connection: ChannelModel,
  options: { readonly maxLength?: number; readonly maxPriority?: number },
): Promise<string | null> {
  const channel = await connection.createChannel()
  channel.on('error', () => {
    // The promise below says it too.
  })
  try {
    await channel.assertQueue('q', options)
    await channel.close()
    return null
  } catch (error) {
    return (error as Error).message
  }
}

test('other arguments are refused, let pass or adopted, and that outlives a restart', async () => {
  const data = folder.freshDirectory()
  const setMode = async (mode: string): Promise<number | null> =>
    (await folder.run(['set-declare-mismatch', '/', mode, '--data', data])).code
  {
    await using command = folder.start(data)
    const { listeners } = await command.ready()
    const connection = await connect(`amqp://${listeners['amqp']}`)
    const channel = await connection.createConfirmChannel()
    await channel.assertQueue('q', { maxLength: 5 })
    for (let n = 0; n < 5; n++) channel.sendToQueue('q', Buffer.from(`${n}`), { persistent: true })
    await channel.waitForConfirms()
    assert.match((await declare(connection, { maxLength: 3 }))!, /inequivalent arg 'x-max-length'/)
    assert.equal(await setMode('warn'), 0)
    assert.equal(await declare(connection, { maxLength: 3 }), null)
    assert.equal((await channel.checkQueue('q')).messageCount, 5)
    assert.equal(await setMode('adopt'), 0)
    assert.equal(await declare(connection, { maxLength: 3 }), null)
    const priority = { maxLength: 3, maxPriority: 2 }
    assert.match((await declare(connection, priority))!, /inequivalent arg 'x-max-priority'/)
    while ((await channel.checkQueue('q')).messageCount > 3);
    assert.notEqual(await setMode('sometimes'), 0)
    await connection.close()
  }
  await using command = folder.start(data)
  const { listeners } = await command.ready()
  const connection = await connect(`amqp://${listeners['amqp']}`)
  const channel = await connection.createConfirmChannel()
  assert.equal((await channel.checkQueue('q')).messageCount, 3)
  channel.sendToQueue('q', Buffer.from('5'), { persistent: true })
  await channel.waitForConfirms()
  assert.equal((await channel.checkQueue('q')).messageCount, 3)
  assert.equal(await declare(connection, { maxLength: 9 }), null)
  await connection.close()
})
