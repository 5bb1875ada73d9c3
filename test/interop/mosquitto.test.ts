/** Mosquitto's command-line clients, in MQTT 3.1.1 and in 5.0. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { after, test } from 'node:test'

import { connect as amqpConnect } from 'amqplib'
import { closeTarget, openTarget } from '../support/target.ts'
import { onPath } from './driver.ts'

const WITHIN_MS = 20_000
const absent = onPath('mosquitto_sub') === null || onPath('mosquitto_pub') === null
const skip = absent ? 'mosquitto-clients is absent (test/interop/setup.sh fetches it)' : false

after(closeTarget)

async function mosquitto(program: 'pub' | 'sub', args: readonly string[]): Promise<ChildProcess> {
  const { process: broker } = await openTarget()
  const port = String(broker!.mqttPort)
  // Written to a pipe its lines would wait for each other.
  const command = ['-oL', `mosquitto_${program}`, '-h', '127.0.0.1', '-p', port, ...args]
  return spawn('stdbuf', command, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: WITHIN_MS,
  })
}

/** All it prints, once it has ended with code 0. */
async function ended(child: ChildProcess): Promise<string> {
  let stdout = ''
  let stderr = ''
  child.stdout!.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr!.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  assert.equal(code, 0, `${child.spawnargs.join(' ')}: ${stderr}${stdout}`)
  return stdout
}

async function publish(...args: readonly string[]): Promise<void> {
  await ended(await mosquitto('pub', args))
}

/** Starts a subscriber and resolves when it is subscribed. */
async function subscriber(args: readonly string[]): Promise<{ output: Promise<string> }> {
  const child = await mosquitto('sub', [...args, '-d'])
  const output = ended(child)
  await new Promise<void>((resolve, reject) => {
    child.stdout!.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes('SUBACK')) resolve()
    })
    output.then(() => resolve(), reject)
  })
  return { output }
}

function topic(): string {
  return `ws/mosquitto/${randomBytes(5).toString('hex')}`
}

/** Lines that are no debugging output. */
function messages(output: string): string[] {
  return output.split('\n').filter((line) => line.startsWith('> '))
}

for (const version of ['mqttv311', 'mqttv5']) {
  for (const qos of ['0', '1', '2']) {
    test(`mosquitto_pub and mosquitto_sub, ${version}, QoS ${qos}`, { skip }, async () => {
      const name = topic()
      const common = ['-V', version, '-q', qos]
      const options = [...common, '-t', `${name}/+`, '-C', '3', '-F', '> %t %q %r %p']
      const { output } = await subscriber(options)
      for (const body of ['a', 'b', 'c']) await publish(...common, '-t', `${name}/x`, '-m', body)
      const expected = ['a', 'b', 'c'].map((body) => `> ${name}/x ${qos} 0 ${body}`)
      assert.deepEqual(messages(await output), expected)
    })
  }

  test(`retained messages and sessions, ${version}`, { skip }, async () => {
    const name = topic()
    const common = ['-V', version, '-q', '1']
    await publish(...common, '-t', name, '-m', 'kept', '-r')
    const expiry = version === 'mqttv5' ? ['-x', '60'] : []
    const session = [...common, '-i', `ws-${name}`, '-c', ...expiry, '-t', name, '-F', '> %r %p']
    const first = await subscriber([...session, '-C', '1'])
    assert.deepEqual(messages(await first.output), ['> 1 kept'])
    await publish(...common, '-t', name, '-m', 'meanwhile')
    // The client subscribes again, so what is retained comes too: the session's message is first.
    const again = await subscriber([...session, '-C', '1'])
    assert.deepEqual(messages(await again.output), ['> 0 meanwhile'])
    await publish(...common, '-t', name, '-n', '-r')
  })

  test(`messages of AMQP and to AMQP, ${version}`, { skip }, async () => {
    const name = topic()
    const key = name.replaceAll('/', '.')
    const { url } = await openTarget()
    const connection = await amqpConnect(url)
    const channel = await connection.createConfirmChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    await channel.bindQueue(queue, 'amq.topic', key)
    const common = ['-V', version, '-q', '1', '-t', name]
    const { output } = await subscriber([...common, '-C', '1', '-F', '> %p'])
    channel.publish('amq.topic', key, Buffer.from('from AMQP'))
    await channel.waitForConfirms()
    assert.deepEqual(messages(await output), ['> from AMQP'])
    await publish(...common, '-m', 'from MQTT')
    const bodies: string[] = []
    for (let message = await channel.get(queue); message !== false;) {
      bodies.push(message.content.toString())
      message = await channel.get(queue)
    }
    assert.deepEqual(bodies, ['from AMQP', 'from MQTT'])
    await connection.close()
  })
}

test('a wrong password is refused', { skip }, async () => {
  const child = await mosquitto('pub', ['-t', 'x', '-m', 'y', '-u', 'guest', '-P', 'wrong'])
  await assert.rejects(ended(child), /not authori[sz]ed|Bad user name or password/i)
})
