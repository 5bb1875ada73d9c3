import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { globSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import amqplib from 'amqplib'
import { BrokerProcess } from '../../support/broker-process.ts'

const MAIN = path.join(import.meta.dirname, '../../../src/cli/main.ts')

function fsck(...args: string[]): { readonly status: number | null; readonly output: string } {
  const run = spawnSync(process.execPath, [MAIN, 'fsck', ...args], { encoding: 'utf8' })
  return { status: run.status, output: run.stdout + run.stderr }
}

async function publish(broker: BrokerProcess, count: number): Promise<void> {
  const connection = await amqplib.connect(`amqp://guest:guest@127.0.0.1:${broker.port}`)
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('kept', { durable: true })
  for (let number = 0; number < count; number++) {
    channel.sendToQueue('kept', Buffer.alloc(1000, `${number}`), { persistent: true })
    await channel.waitForConfirms()
  }
  await connection.close()
}

test('fsck passes a sound store, names a flipped byte, and repairs so that the store opens', async () => {
  await using broker = new BrokerProcess({ args: ['--listen', 'http=off'] })
  await broker.start()
  const busy = fsck(broker.dataDir)
  assert.equal(busy.status, 75, busy.output)
  await publish(broker, 50)
  await broker.kill()

  const sound = fsck(broker.dataDir)
  assert.equal(sound.status, 0, sound.output)
  assert.match(sound.output, /no damage/)

  // The largest file holds the messages; its middle is an entry with acknowledged ones after it.
  const files = globSync(path.join(broker.dataDir, 'logs/**/*')).filter((f) => statSync(f).isFile())
  const largest = files.toSorted((a, b) => statSync(b).size - statSync(a).size)[0]!
  const bytes = readFileSync(largest)
  const middle = bytes.length >>> 1
  bytes[middle] = bytes[middle]! ^ 0x40
  writeFileSync(largest, bytes)

  const damaged = fsck(broker.dataDir)
  assert.equal(damaged.status, 1, damaged.output)
  assert.ok(damaged.output.includes(path.basename(largest)), damaged.output)
  assert.match(damaged.output, /--repair/)
  await assert.rejects(broker.start(), /fsck/, 'a broker must not skip damage in silence')

  const repaired = fsck(broker.dataDir, '--repair')
  assert.equal(repaired.status, 0, repaired.output)
  await broker.start()
  const connection = await amqplib.connect(`amqp://guest:guest@127.0.0.1:${broker.port}`)
  const channel = await connection.createChannel()
  const { messageCount } = await channel.checkQueue('kept')
  assert.ok(messageCount > 0 && messageCount < 51, `${messageCount} left`)
  await connection.close()
})
