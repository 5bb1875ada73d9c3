import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import amqplib from 'amqplib'
import { BrokerProcess } from '../support/broker-process.ts'
import { HealthWatch } from '../support/health-watch.ts'

const DISK_MIB = 48
const BALLAST_MIB = 12
const BODY = Buffer.alloc(16 * 1024, 'x')
const MESSAGES_MAX = 10_000

/** A small file system of the test's own; null where this user may not mount one. */
function mountSmallDisk(t: TestContext): string | null {
  const folder = mkdtempSync(path.join(tmpdir(), 'waystation-full-'))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'tmpfs', folder])
  if (mounted.status !== 0) {
    rmdirSync(folder)
    return null
  }
  t.after(() => {
    spawnSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

test('a full disk stops publishers, loses nothing confirmed and is left behind when space returns', async (t) => {
  const disk = mountSmallDisk(t)
  if (disk === null) {
    t.skip('this user may not mount a file system to fill')
    return
  }
  const ballast = path.join(disk, 'ballast')
  writeFileSync(ballast, Buffer.alloc(BALLAST_MIB << 20, 1))
  await using broker = new BrokerProcess({
    dataDir: path.join(disk, 'data'),
    args: ['--set', 'limits.freeDiskSpace=0'],
  })
  await broker.start()
  await using health = await HealthWatch.open(broker.httpPort, broker.pid!)
  const url = (): string => `amqp://guest:guest@127.0.0.1:${broker.port}`
  const connection = await amqplib.connect(url())
  connection.on('error', () => {
    // The broker is killed at the end.
  })
  const blocked = once(connection, 'blocked')
  const channel = await connection.createConfirmChannel()
  channel.on('error', () => {
    // As above.
  })
  await channel.assertQueue('full', { durable: true })
  const confirmed = new Set<number>()
  let sent = 0
  const publish = (): void => {
    const number = sent++
    const body = Buffer.concat([Buffer.from(`${number}|`), BODY])
    channel.sendToQueue('full', body, { persistent: true }, (error: unknown) => {
      if (error === null || error === undefined) confirmed.add(number)
    })
  }
  let isBlocked = false
  void blocked.then(() => {
    isBlocked = true
  })
  while (!isBlocked && sent < MESSAGES_MAX) {
    for (let count = 0; count < 20; count++) publish()
    await sleep(2)
  }
  assert.ok(isBlocked, 'the disk filled up and nobody was told')
  const [reason] = (await blocked) as [string]
  await sleep(500)
  const confirmedWhenFull = confirmed.size
  assert.ok(confirmedWhenFull < sent, 'more was confirmed than the disk can hold')
  const other = await amqplib.connect(url())
  const reader = await other.createChannel()
  assert.ok(
    await reader.get('full', { noAck: false }),
    'a consumer is served while the disk is full',
  )
  await other.close()

  const unblocked = once(connection, 'unblocked')
  rmSync(ballast)
  await unblocked
  for (let left = 200; left > 0 && confirmed.size === confirmedWhenFull; left--) await sleep(50)
  assert.ok(confirmed.size > confirmedWhenFull, 'what waited was not confirmed when space returned')
  t.diagnostic(await health.verdict())
  await broker.kill()

  await broker.start()
  const again = await amqplib.connect(url())
  const found = new Set<number>()
  const drainer = await again.createChannel()
  const { messageCount } = await drainer.checkQueue('full')
  for (let left = messageCount; left > 0; left--) {
    const message = await drainer.get('full', { noAck: true })
    assert.ok(message !== false)
    found.add(Number.parseInt(message.content.toString('latin1', 0, 8), 10))
  }
  for (const number of confirmed) assert.ok(found.has(number), `message ${number} was confirmed`)
  t.diagnostic(`${confirmed.size} confirmed of ${sent}; told: ${String(reason)}`)
  await again.close()
})
