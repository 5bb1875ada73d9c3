import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import {
  makeAuthority,
  makeCertificate,
  makeExpiredCertificate,
} from '../../support/certificates.ts'
import { CommandFolder } from '../../support/command.ts'
import type { Outcome } from '../../support/command.ts'

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

interface Finding {
  readonly about: string
  readonly state: string
  readonly text: string
  readonly advice: string | null
}

/** On ports that nobody has, so that nothing else on the machine is in the way. */
async function doctor(...args: readonly string[]): Promise<Outcome> {
  const free = ['amqp', 'http', 'mqtt', 'mqtt-ws', 'kafka'].flatMap((name) => [
    '--listen',
    `${name}=0`,
  ])
  return folder.run(['doctor', ...free, ...args])
}

async function findings(...args: readonly string[]): Promise<Map<string, Finding>> {
  const { stdout, stderr } = await doctor('--json', ...args)
  assert.equal(stderr, '')
  return new Map((JSON.parse(stdout) as Finding[]).map((one) => [one.about, one]))
}

function file(name: string, text: string): string {
  const full = path.join(folder.path, name)
  writeFileSync(full, text)
  return full
}

test('where all is well the doctor says so, and leaves nothing behind', async () => {
  const data = folder.freshDirectory()
  const outcome = await doctor('--data', data)
  assert.equal(outcome.code, 0, outcome.stdout + outcome.stderr)
  assert.match(outcome.stdout, /a sync takes [\d.]+ ms/)
  assert.match(outcome.stdout, /nothing is in the way of a broker here\n$/)
  assert.equal(existsSync(data), false)
})

test('a taken port, an unwritable place and a broker that runs are told apart', async () => {
  const data = folder.freshDirectory()
  await using command = folder.start(data)
  const { listeners } = await command.ready()
  const taken = await findings(
    '--data',
    folder.freshDirectory(),
    '--listen',
    `amqp=${listeners['amqp']}`,
  )
  assert.equal(taken.get('amqp')!.state, 'bad')
  assert.match(taken.get('amqp')!.text, /another program listens there/)
  assert.match(taken.get('amqp')!.advice!, /--listen amqp=HOST:PORT/)
  assert.equal(taken.get('mqtt')!.state, 'well')

  const running = await findings('--data', data, '--listen', `amqp=${listeners['amqp']}`)
  assert.match(running.get('ports')!.text, /a broker runs on/)

  const below = path.join(file('a-file', ''), 'data')
  const outcome = await doctor('--data', below)
  assert.equal(outcome.code, 1)
  assert.match(outcome.stdout, /^BAD {3}data .*cannot be written/m)
})

test('certificates that ran out, or whose key is another one, are found before a client does', async () => {
  const authority = makeAuthority('doctor')
  const good = makeCertificate(authority, [['CN', 'localhost']], ['localhost'])
  const other = makeCertificate(authority, [['CN', 'other']], ['other'])
  const old = makeExpiredCertificate(authority, 'old')
  const look = async (certPem: string, keyPem: string): Promise<Finding> => {
    const tls = ['--tls-cert', file('cert.pem', certPem), '--tls-key', file('key.pem', keyPem)]
    const found = await findings('--data', 'memory', '--listen', 'amqps=0', ...tls)
    return found.get('certificate')!
  }
  assert.notEqual((await look(good.certPem, good.keyPem)).state, 'bad')
  const foreign = await look(good.certPem, other.keyPem)
  assert.equal(foreign.state, 'bad')
  assert.match(foreign.text, /is not the key of/)
  const expired = await look(old.certPem, old.keyPem)
  assert.equal(expired.state, 'bad')
  assert.match(expired.text, /ran out on/)
})

test('a wrong setting is named as it is when a broker starts', async () => {
  const outcome = await doctor('--set', 'limits.mesageSize=1')
  assert.equal(outcome.code, 78)
  assert.match(outcome.stderr, /messageSize/)
})
