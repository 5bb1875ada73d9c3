import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, Socket, type AddressInfo } from 'node:net'
import path from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'amqplib'
import { CommandFolder } from '../../support/command.ts'

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

test('help and version', async () => {
  const help = await folder.run(['--help'])
  assert.equal(help.code, 0)
  assert.match(help.stdout, /waystation start --data memory/)
  const { version } = JSON.parse(
    readFileSync(path.join(import.meta.dirname, '../../../package.json'), 'utf8'),
  ) as { version: string }
  assert.deepEqual(await folder.run(['--version']), {
    code: 0,
    signal: null,
    stdout: `${version}\n`,
    stderr: '',
  })
  const wrong = await folder.run(['strat'])
  assert.equal(wrong.code, 2)
  assert.match(wrong.stderr, /unknown command 'strat'\n\(Did you mean start\?\)/)
})

test('a broker says where it is, serves a client, and stops on SIGTERM with it connected', async (t) => {
  const data = folder.freshDirectory()
  await using command = folder.start(data, '--set', 'stopTimeout=2s')
  const ready = await command.ready()
  t.diagnostic(`ready ${ready.readyMs} ms after the command's code was loaded`)
  assert.equal(ready.data, data)
  const connection = await connect(`amqp://${ready.listeners['amqp']}`)
  connection.on('error', () => undefined)
  const closed = new Promise((resolve) => connection.once('close', resolve))
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('kept')
  channel.sendToQueue('kept', Buffer.from('x'), { persistent: true })
  await channel.waitForConfirms()
  const startedMs = performance.now()
  command.kill('SIGTERM')
  const { code, signal, stdout, stderr } = await command.ended
  await closed
  assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
  assert.ok(performance.now() - startedMs < 22_000)
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg: string })
  assert.equal(lines.at(-1)?.msg, 'stopped')
  await using again = folder.start(data)
  const next = await connect(`amqp://${(await again.ready()).listeners['amqp']}`)
  const kept = await (await next.createChannel()).checkQueue('kept')
  assert.equal(kept.messageCount, 1)
  await next.close()
})

test('two signals at once are one, a later one does not wait', async () => {
  await using command = folder.start(folder.freshDirectory(), '--set', 'stopTimeout=60s')
  const { listeners } = await command.ready()
  const [, port] = (listeners['http'] ?? '').split(':')
  // A request that never ends keeps the broker from stopping until the minute is over.
  const endless = new Socket()
  endless.on('error', () => undefined)
  await new Promise<void>((resolve) => endless.connect(Number(port), '127.0.0.1', resolve))
  await new Promise((resolve) => endless.write('GET /v1/status HTTP/1.1\r\nhost: ', resolve))
  await sleep(200)
  command.kill('SIGINT')
  command.kill('SIGTERM')
  const early = await Promise.race([command.ended, sleep(700, 'still stopping')])
  assert.equal(early, 'still stopping')
  command.kill('SIGTERM')
  const { code } = await command.ended
  endless.destroy()
  assert.equal(code, 128 + 15)
})

test('a taken port is named with its way out', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  try {
    for (const name of ['amqp', 'http']) {
      const args = [
        'start',
        '--data',
        'memory',
        // Others on this machine may have the standard ports.
        ...['amqp=0', 'mqtt=off', 'mqtt-ws=off', 'kafka=off', `${name}=${port}`].flatMap(
          (listener) => ['--listen', listener],
        ),
      ]
      const { code, stdout, stderr } = await folder.run(args)
      assert.equal(code, 75)
      assert.equal(stdout, '')
      assert.equal(
        stderr,
        `waystation: ${name}: 127.0.0.1:${port} is taken by another program\n` +
          `            choose another address with --listen ${name}=HOST:PORT, or 'off'\n`,
      )
    }
  } finally {
    server.close()
  }
})

test('a data directory in use names the process that has it', async () => {
  const data = folder.freshDirectory()
  await using command = folder.start(data)
  const { pid } = await command.ready()
  const { code, stderr } = await folder.run(['start', '--data', data, '--listen', 'amqp=0'])
  assert.equal(code, 75)
  assert.match(stderr, new RegExp(`^waystation: .*${data}.* process ${pid}`))
})

test('a data directory that cannot be used is refused', async () => {
  const file = path.join(folder.path, 'a-file')
  writeFileSync(file, '')
  const { code, stderr } = await folder.run(['start', '--data', file, '--listen', 'amqp=0'])
  assert.equal(code, 73)
  assert.equal(
    stderr,
    `waystation: the data directory ${file} is a file, or below one\n` +
      '            choose another one with --data DIR\n',
  )
})

test('every mistake in the configuration is named with its line and key', async () => {
  const file = path.join(folder.path, 'bad.yaml')
  writeFileSync(file, 'data: memory\nlisten:\n  amqp: banana\n  htpp: 1\n')
  const { code, stderr } = await folder.run(['start', '--config', file])
  assert.equal(code, 78)
  assert.match(stderr, /bad\.yaml:3:3: listen\.amqp: expected an address .*, got "banana"/)
  assert.match(stderr, /bad\.yaml:4:3: unknown key 'listen\.htpp', expected 'http'/)
  const flag = await folder.run(['start', '--set', 'limits.messageSize=huge'])
  assert.equal(flag.code, 78)
  assert.match(
    flag.stderr,
    /^waystation: --set limits\.messageSize: .*expected a size .* got "huge"/,
  )
  const variable = await folder.run(['start'], { environment: { WAYSTATION_LOG_LEVEL: 'loud' } })
  assert.equal(variable.code, 78)
  assert.match(variable.stderr, /environment WAYSTATION_LOG_LEVEL: log\.level: expected 'trace'/)
  const noPair = await folder.run(['start', '--listen', 'amqp'])
  assert.equal(noPair.code, 2)
})

test('the known password is refused beyond loopback, and its way out works', async () => {
  const wide = ['start', '--data', 'memory', '--listen', 'amqp=0.0.0.0:0', '--listen', 'http=off']
  const { code, stderr } = await folder.run(wide)
  assert.equal(code, 77)
  assert.match(stderr, /WAYSTATION_DEFAULT_USER_PASSWORD_FILE/)
  const secret = path.join(folder.path, 'secret')
  writeFileSync(secret, 'wonderland\n')
  const environment = {
    WAYSTATION_DEFAULT_USER_NAME: 'alice',
    WAYSTATION_DEFAULT_USER_PASSWORD_FILE: secret,
  }
  await using command = folder.open(wide, { environment })
  const [, port] = ((await command.ready()).listeners['amqp'] ?? '').split(':')
  const connection = await connect(`amqp://alice:wonderland@127.0.0.1:${port}`)
  await connection.close()
})

test('the default port of the HTTP API gives way, one that was asked for does not', async () => {
  const args = ['start', '--data', 'memory', '--listen', 'amqp=0']
  await using first = folder.open(args)
  await first.ready()
  await using second = folder.open(args)
  const { listeners } = await second.ready()
  assert.match(listeners['http'] ?? '', /^127\.0\.0\.1:\d+$/)
  assert.notEqual(listeners['http'], '127.0.0.1:15672')
})

test('a shell is given the script that completes commands, and then the commands', async () => {
  const script = await folder.run(['complete', 'bash'])
  assert.equal(script.code, 0, script.stderr)
  assert.match(script.stdout, /bash completion for waystation/)
  const answer = await folder.run(['complete', '--', 'back'])
  assert.match(answer.stdout, /^backup\tCopies messages/m)
})
