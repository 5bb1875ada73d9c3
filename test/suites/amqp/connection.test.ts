import assert from 'node:assert/strict'

import { isFieldTable } from '../../../src/codec/amqp091/index.ts'
import { scenario } from '../../support/amqp-scope.ts'

scenario('connection.start tells version, mechanisms and capabilities', async (scope) => {
  const raw = await scope.rawSocket()
  raw.sendHeader()
  const start = await raw.method('connection.start')
  assert.deepEqual([start.versionMajor, start.versionMinor], [0, 9])
  const mechanisms = start.mechanisms.toString().split(' ')
  assert.ok(mechanisms.includes('PLAIN') && mechanisms.includes('AMQPLAIN'), mechanisms.join(' '))
  assert.equal(start.locales.toString(), 'en_US')
  const properties = start.serverProperties
  for (const name of ['product', 'platform', 'cluster_name', 'copyright', 'information']) {
    assert.equal(typeof properties.get(name), 'string', name)
  }
  assert.match(properties.get('version') as string, /^\d+\.\d+\.\d+/)
  const capabilities = properties.get('capabilities')
  assert.ok(isFieldTable(capabilities))
  for (const name of [
    'publisher_confirms',
    'exchange_exchange_bindings',
    'basic.nack',
    'consumer_cancel_notify',
    'connection.blocked',
    'consumer_priorities',
    'authentication_failure_close',
    'per_consumer_qos',
    'direct_reply_to',
  ]) {
    assert.equal(capabilities.get(name), true, name)
  }
})

scenario('connection.tune offers RabbitMQ’s usual values', async (scope) => {
  const raw = await scope.rawSocket()
  assert.deepEqual(
    { ...(await raw.login()) },
    {
      name: 'connection.tune',
      channelMax: 2047,
      frameMax: 131_072,
      heartbeat: 60,
    },
  )
})

scenario('a wrong protocol header is answered with the right one', async (scope) => {
  for (const header of ['AMQP\0\0\x09\x02', 'AMQP\0\x02\0\0', 'GET / HT', 'XXXXXXXX']) {
    const raw = await scope.rawSocket()
    raw.plainly()
    raw.write(Buffer.from(header, 'latin1'))
    const answer = (await raw.plainAnswer(8)).toString('latin1')
    // To what is no AMQP 0 at all, RabbitMQ names the AMQP 1.0 it speaks too.
    const answers = ['AMQP\0\0\x09\x01', 'AMQP\x03\x01\0\0', 'AMQP\0\x01\0\0']
    assert.ok(header.startsWith('AMQP\0\0') ? answer === answers[0] : answers.includes(answer))
    // RabbitMQ leaves the end to the client.
    if (!scope.isRabbit) await raw.ended()
  }
})

scenario('AMQPLAIN logs in too', async (scope) => {
  const raw = await scope.rawSocket()
  raw.sendHeader()
  await raw.method('connection.start')
  const field = (name: string, value: string): Buffer => {
    const out = Buffer.alloc(1 + name.length + 1 + 4 + value.length)
    out.writeUInt8(name.length, 0)
    out.write(name, 1)
    out.write('S', 1 + name.length)
    out.writeUInt32BE(value.length, 2 + name.length)
    out.write(value, 6 + name.length)
    return out
  }
  const response = Buffer.concat([
    field('LOGIN', scope.target.user),
    field('PASSWORD', scope.target.password),
  ])
  raw.startOk({ mechanism: 'AMQPLAIN', response })
  await raw.method('connection.tune')
})

scenario('a wrong password is refused with 403', async (scope) => {
  const raw = await scope.rawSocket()
  raw.sendHeader()
  await raw.method('connection.start')
  raw.startOk({ response: `\0${scope.target.user}\0wrong` })
  const close = await raw.connectionClose()
  assert.equal(close.code, 403)
  assert.match(
    close.text,
    /^ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN\. For details see the broker logfile\.$/,
  )
})

scenario('an unknown mechanism is refused with 503', async (scope) => {
  const raw = await scope.rawSocket()
  raw.sendHeader()
  await raw.method('connection.start')
  raw.startOk({ mechanism: 'X-NONE' })
  const close = await raw.connectionClose()
  assert.equal(close.code, 503)
  assert.match(close.text, /unknown authentication mechanism 'X-NONE'/)
})

scenario('without the capability a wrong password just ends the connection', async (scope) => {
  const raw = await scope.rawSocket()
  raw.sendHeader()
  await raw.method('connection.start')
  raw.startOk({ response: `\0${scope.target.user}\0wrong`, clientProperties: new Map() })
  await raw.ended()
  assert.equal(await raw.next(), null)
})

scenario('an unknown virtual host is refused with 530', async (scope) => {
  const raw = await scope.rawSocket()
  await raw.login()
  raw.sendMethod(0, { name: 'connection.open', virtualHost: 'nowhere' })
  assert.deepEqual(await raw.connectionClose(), {
    code: 530,
    text: 'NOT_ALLOWED - vhost nowhere not found',
    method: 'connection.open',
  })
})

const BAD_TUNINGS = [
  [
    { frameMax: 1_000_000 },
    'frame_max = 1000000 is higher than the maximum allowed value (131072)',
  ],
  [{ frameMax: 1000 }, 'frame_max = 1000 is lower than the minimum allowed value (4096)'],
  [{ channelMax: 3000 }, 'channel_max = 3000 is higher than the maximum allowed value (2047)'],
] as const

for (const [tuning, text] of BAD_TUNINGS) {
  scenario(`tune-ok with ${JSON.stringify(tuning)} is refused`, async (scope) => {
    const raw = await scope.rawSocket()
    await raw.login(tuning)
    if (scope.isRabbit) {
      // RabbitMQ writes the reason to its log only and drops the connection after three seconds.
      await raw.ended()
      return
    }
    assert.deepEqual(await raw.connectionClose(), {
      code: 530,
      text: `NOT_ALLOWED - negotiated ${text}`,
      method: 'connection.tune-ok',
    })
  })
}

scenario('heartbeats come when a client asks for them', async (scope) => {
  const raw = await scope.raw({ heartbeat: 1 })
  // Without frames of its own the client would be dropped after two seconds.
  const first = await raw.next()
  assert.equal(first?.kind, 'heartbeat')
})

scenario('a client that falls silent is dropped', async (scope) => {
  const raw = await scope.raw({ heartbeat: 1 })
  const startMs = performance.now()
  await raw.ended(8_000)
  const passedMs = performance.now() - startMs
  assert.ok(passedMs > 1_000 && passedMs < 6_000, `after ${passedMs} ms`)
})

scenario('close is answered', async (scope) => {
  const raw = await scope.raw()
  raw.sendMethod(0, {
    name: 'connection.close',
    replyCode: 200,
    replyText: 'bye',
    classId: 0,
    methodId: 0,
  })
  await raw.method('connection.close-ok')
})

scenario('update-secret is answered', async (scope) => {
  await scope.connection.updateSecret(Buffer.from(scope.target.password), 'renewed')
})

scenario('more channels than channel_max are refused', async (scope) => {
  const raw = await scope.raw({ channelMax: 5 })
  for (let channel = 1; channel <= 5; channel += 1) await raw.openChannel(channel)
  raw.sendMethod(6, { name: 'channel.open' })
  const close = await raw.connectionClose()
  assert.equal(close.code, 530)
  assert.equal(
    close.text,
    'NOT_ALLOWED - number of channels opened (5) has reached the negotiated channel_max (5)',
  )
})
