import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { connect } from 'amqplib'
import { startBroker, StartupError, type StartOptions } from './index.ts'

const scratch = mkdtempSync(path.join(tmpdir(), 'waystation-embedded-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'uncaughtException', 'exit'] as const

async function refusal(options: StartOptions): Promise<StartupError> {
  try {
    const broker = await startBroker(options)
    await broker.close()
  } catch (error) {
    assert.ok(error instanceof StartupError, String(error))
    return error
  }
  return assert.fail('the broker started')
}

/** One message there and back by somebody else's client. */
async function roundTrip(url: string, queue: string): Promise<string> {
  const connection = await connect(url)
  try {
    const channel = await connection.createConfirmChannel()
    await channel.assertQueue(queue)
    channel.sendToQueue(queue, Buffer.from('hello'), { persistent: true })
    await channel.waitForConfirms()
    const { promise, resolve } = Promise.withResolvers<string>()
    await channel.consume(queue, (message) => {
      if (message === null) return
      channel.ack(message)
      resolve(message.content.toString())
    })
    return await promise
  } finally {
    await connection.close()
  }
}

test('an embedded broker serves a real client on a free port', async (t) => {
  const startedMs = performance.now()
  await using broker = await startBroker()
  const readyMs = performance.now() - startedMs
  assert.match(broker.url(), /^amqp:\/\/127\.0\.0\.1:\d+$/)
  assert.equal(broker.url('amqp'), `amqp://127.0.0.1:${broker.port()}`)
  assert.equal(broker.data, 'memory')
  assert.deepEqual(
    broker.listeners.map(({ name }) => name),
    ['amqp'],
  )
  assert.throws(() => broker.port('http'), /nothing listens for http/)
  assert.equal(await roundTrip(broker.url(), 'q'), 'hello')
  // Shown, never judged: machines differ.
  t.diagnostic(`ready in ${readyMs.toFixed(1)} ms`)
})

test('brokers in one process know nothing of each other or of the process', async () => {
  const listeners = SIGNALS.map((name) => process.listenerCount(name))
  await using first = await startBroker()
  await using second = await startBroker()
  assert.notEqual(first.port(), second.port())
  assert.deepEqual(
    SIGNALS.map((name) => process.listenerCount(name)),
    listeners,
  )
  const connection = await connect(first.url())
  const channel = await connection.createChannel()
  await channel.assertQueue('mine')
  const other = await connect(second.url())
  const otherChannel = await other.createChannel()
  otherChannel.on('error', () => undefined)
  await assert.rejects(otherChannel.checkQueue('mine'), /404/)
  await connection.close()
  await other.close()
})

test('what is stored is there after the next start', async () => {
  const data = path.join(scratch, 'kept')
  const broker = await startBroker({ data })
  const connection = await connect(broker.url())
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('kept')
  channel.sendToQueue('kept', Buffer.from('still here'), { persistent: true })
  await channel.waitForConfirms()
  await connection.close()
  await broker.close()
  await using again = await startBroker({ data })
  const next = await connect(again.url())
  const message = await (await next.createChannel()).get('kept')
  assert.equal(message === false ? null : message.content.toString(), 'still here')
  await next.close()
})

test('closing ends clients, ports and the lock, however often it is asked for', async () => {
  const data = path.join(scratch, 'closed')
  const broker = await startBroker({ data, listen: { amqp: 0, http: 0 }, stopTimeoutMs: 200 })
  const url = broker.url()
  assert.equal(existsSync(path.join(data, 'admin.json')), true)
  const connection = await connect(url)
  connection.on('error', () => undefined)
  const ended = new Promise((resolve) => connection.once('close', resolve))
  await Promise.all([broker.close(), broker.close()])
  await ended
  assert.equal(existsSync(path.join(data, 'admin.json')), false)
  await assert.rejects(connect(url), /ECONNREFUSED/)
  await (await startBroker({ data })).close()
})

test('a directory that a broker of this process uses is refused', async () => {
  const data = path.join(scratch, 'locked')
  await using _broker = await startBroker({ data })
  const error = await refusal({ data })
  assert.equal(error.code, 'locked')
  assert.ok(error.message.includes(String(process.pid)), error.message)
})

test('a taken port is refused and leaves nothing open', async () => {
  await using broker = await startBroker()
  const data = path.join(scratch, 'taken')
  const error = await refusal({ data, listen: { amqp: broker.port() } })
  assert.equal(error.code, 'port')
  assert.ok(error.message.includes(`127.0.0.1:${broker.port()} is taken`), error.message)
  // The lock is free again.
  await (await startBroker({ data })).close()
})

test('other machines are not let in with the password everybody knows', async () => {
  const error = await refusal({ listen: { amqp: '0.0.0.0:0' } })
  assert.equal(error.code, 'unsafe')
  assert.match(error.message, /^amqp=0\.0\.0\.0:0 would be open to other machines/)
  const defaultUser = { name: 'alice', password: 'wonderland' }
  await using broker = await startBroker({ listen: { amqp: '0.0.0.0:0' }, defaultUser })
  const url = `amqp://alice:wonderland@127.0.0.1:${broker.port()}`
  assert.equal(await roundTrip(url, 'q'), 'hello')
  await assert.rejects(connect(broker.url()), /ACCESS[-_]REFUSED/)
})

test('the first user is for the first start', async () => {
  const data = path.join(scratch, 'users')
  await (await startBroker({ data, defaultUser: { name: 'guest', password: 'new' } })).close()
  await using broker = await startBroker({ data, defaultUser: { name: 'eve', password: 'x' } })
  assert.equal(await broker.hasBuiltInPassword(), false)
  await assert.rejects(connect(`amqp://eve:x@127.0.0.1:${broker.port()}`), /ACCESS[-_]REFUSED/)
  const connection = await connect(`amqp://guest:new@127.0.0.1:${broker.port()}`)
  await connection.close()
})

test('options that cannot be meant are refused', async () => {
  const wrong: [StartOptions, RegExp][] = [
    [{ listen: { amqp: 'banana' } }, /^listen\.amqp: expected an address .*, got "banana"$/],
    [{ listen: { stomp: 61613 } }, /^this version does not speak STOMP$/],
    [{ listen: { amqps: 0 } }, /^amqps needs tls\.certFile and tls\.keyFile$/],
    [{ listen: { smtp: 25 } as object }, /^unknown listener 'smtp', expected one of amqp, /],
  ]
  for (const [options, message] of wrong) {
    const error = await refusal(options)
    assert.equal(error.code, 'config')
    assert.match(error.message, message)
  }
})

test('a user who is removed is disconnected', async () => {
  const data = path.join(scratch, 'removed')
  await using broker = await startBroker({ data, listen: { amqp: 0, http: 0 } })
  const api = async (method: string, target: string, body?: object): Promise<number> => {
    const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
    const response = await fetch(new URL(target, broker.url('http')), {
      method,
      headers: { authorization },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return response.status
  }
  assert.equal(await api('PUT', '/v1/users/bob', { password: 'b' }), 201)
  const permissions = { configure: '.*', write: '.*', read: '.*' }
  assert.equal(await api('PUT', '/v1/permissions/%2F/bob', permissions), 204)
  const connection = await connect(`amqp://bob:b@127.0.0.1:${broker.port()}`)
  connection.on('error', () => undefined)
  const ended = new Promise((resolve) => connection.once('close', resolve))
  assert.equal(await api('DELETE', '/v1/users/bob'), 204)
  await ended
})
