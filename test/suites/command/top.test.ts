import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { connect } from 'amqplib'
import { CommandFolder } from '../../support/command.ts'

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

test('top shows rates and what waits, most first, and gives them as JSON', async () => {
  const data = folder.freshDirectory()
  await using command = folder.start(data)
  const { listeners } = await command.ready()
  const connection = await connect(`amqp://${listeners['amqp']}`)
  const channel = await connection.createConfirmChannel()
  for (const [queue, count] of Object.entries({ few: 2, many: 5 })) {
    await channel.assertQueue(queue)
    for (let n = 0; n < count; n++) channel.sendToQueue(queue, Buffer.from('x'))
  }
  await channel.waitForConfirms()

  const shown = await folder.run(['top', '--count', '1', '--data', data])
  assert.equal(shown.code, 0, shown.stderr)
  assert.match(shown.stdout, /^messages: ready 7, unsettled 0/m)
  assert.match(shown.stdout, /^connections: amqp 1; consumers 0$/m)
  assert.match(shown.stdout, /^\/ +many +queue +5 .*\n\/ +few +queue +2 /m)

  const json = await folder.run(['top', '--count', '2', '--json', '--data', data])
  const samples = json.stdout.trim().split('\n')
  assert.deepEqual(
    samples.map((line) => (JSON.parse(line) as { ready: number }).ready),
    [7, 7],
  )
  const wrong = await folder.run(['top', '--sort', 'colour', '--data', data])
  assert.equal(wrong.code, 1)
  assert.match(wrong.stderr, /sort/)
  await connection.close()
})
