/** Client certificates as logins, certificates by name, and new ones without a restart. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { startBroker, StartupError } from '../../../src/server/index.ts'
import {
  makeAuthority,
  makeCertificate,
  makeExpiredCertificate,
} from '../../support/certificates.ts'
import { ADMIN, put, type SecuredBroker, securedBroker, TLS_LISTENERS } from './secured-broker.ts'

const OVER_TLS = TLS_LISTENERS.map(([, name]) => name)

/** The common name of what the listener shows. */
async function shownBy(
  { broker }: SecuredBroker,
  listener: (typeof OVER_TLS)[number],
  options: { readonly ca: string; readonly servername?: string },
): Promise<string> {
  const socket = connectTls({
    host: '127.0.0.1',
    port: broker.port(listener),
    ca: options.ca,
    ...(options.servername === undefined ? {} : { servername: options.servername }),
  })
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve)
      socket.once('error', reject)
    })
    return String(socket.getPeerCertificate().subject.CN)
  } finally {
    socket.destroy()
  }
}

test('every TLS listener refuses foreign and expired client certificates', async (t) => {
  const world = await securedBroker(t)
  const { clients, authority, lines } = world
  const certificates = [
    makeCertificate(makeAuthority('Somebody else'), [['CN', ADMIN.name]]),
    makeExpiredCertificate(authority, ADMIN.name),
  ]
  const login = { user: ADMIN.name, password: ADMIN.password }
  for (const listener of OVER_TLS) {
    for (const certificate of certificates) {
      // With the right password: the certificate alone is what is wrong.
      await assert.rejects(clients.logIn(listener, { ...login, certificate }), listener)
    }
    const certificate = makeCertificate(authority, [['CN', ADMIN.name]])
    await clients.logIn(listener, { ...login, certificate })
    const refused = lines.filter((line) => line.startsWith('client certificate refused'))
    const mine = refused.filter((line) => line.includes(`"listener":"${listener}"`))
    assert.ok(
      mine.some((line) => line.includes('CERT_HAS_EXPIRED')),
      lines.join('\n'),
    )
    assert.ok(mine.length >= 2, lines.join('\n'))
  }
})

test('with certificates demanded nobody gets in without one', async (t) => {
  const { clients, authority } = await securedBroker(t, { tls: { clientCertificate: 'require' } })
  const login = { user: ADMIN.name, password: ADMIN.password }
  for (const listener of OVER_TLS) {
    await assert.rejects(clients.logIn(listener, login), listener)
    const certificate = makeCertificate(authority, [['CN', 'anyone']])
    await clients.logIn(listener, { ...login, certificate })
  }
})

test('the name of the user is taken from where the configuration says', async (t) => {
  const email = await securedBroker(t, {
    tls: { loginFrom: 'subject_alternative_name', loginSanType: 'email' },
  })
  const robot = makeCertificate(email.authority, [['CN', 'whatever']], ['r@shop.example'])
  await put(email.broker, 'users/r@shop.example', { password: null })
  const everything = { configure: '.*', write: '.*', read: '.*' }
  await put(email.broker, 'permissions/%2F/r@shop.example', everything)
  await email.clients.amqp('amqps', { certificate: robot, mechanism: 'EXTERNAL' })
  await email.clients.mqtt('mqtts', { certificate: robot })
  await email.clients.kafkaLogin('kafkas', { certificate: robot })
  const stranger = makeCertificate(email.authority, [['CN', ADMIN.name]])
  const external = { certificate: stranger, mechanism: 'EXTERNAL' }
  await assert.rejects(email.clients.amqp('amqps', external))

  const rules = await securedBroker(t, {
    tls: { principalRules: 'RULE:^CN=(.*?),O=Shop$/$1/L' },
  })
  const mapped = makeCertificate(rules.authority, [
    ['O', 'Shop'],
    ['CN', ADMIN.name.toUpperCase()],
  ])
  await rules.clients.amqp('amqps', { certificate: mapped, mechanism: 'EXTERNAL' })
  await rules.clients.kafkaLogin('kafkas', { certificate: mapped })
  const other = makeCertificate(rules.authority, [
    ['O', 'Elsewhere'],
    ['CN', ADMIN.name],
  ])
  await assert.rejects(rules.clients.kafkaLogin('kafkas', { certificate: other }))
})

test('MQTT takes the certificate for the user, whatever CONNECT says, where it is told to', async (t) => {
  const { clients, authority } = await securedBroker(t, { mqtt: { useIdentityAsUsername: true } })
  const certificate = makeCertificate(authority, [['CN', ADMIN.name]])
  for (const listener of ['mqtts', 'mqtt-wss'] as const) {
    await clients.mqtt(listener, { certificate, user: 'someone', password: 'wrong' })
    const nobody = makeCertificate(authority, [['CN', 'nobody']])
    const login = { user: ADMIN.name, password: ADMIN.password }
    await assert.rejects(clients.mqtt(listener, { ...login, certificate: nobody }), /Bad User Name/)
    await assert.rejects(clients.mqtt(listener, login), /Not authorized/)
  }
})

test('every TLS listener shows the certificate of the name that is asked for', async (t) => {
  const authority = makeAuthority('Names')
  const shop = makeCertificate(authority, [['CN', 'shop']], ['shop.example', '*.shop.example'])
  const folder = mkdtempSync(path.join(tmpdir(), 'waystation-sni-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = path.join(folder, 'shop.pem')
  writeFileSync(file, shop.certPem + shop.keyPem)
  const world = await securedBroker(t, { tls: { certificates: [file] } })
  for (const listener of OVER_TLS) {
    const own = { ca: world.authority.certPem }
    const its = { ca: authority.certPem }
    assert.equal(await shownBy(world, listener, { ...its, servername: 'shop.example' }), 'shop')
    assert.equal(await shownBy(world, listener, { ...its, servername: 'A.shop.example' }), 'shop')
    assert.equal(await shownBy(world, listener, { ...own, servername: 'localhost' }), 'first')
    assert.equal(await shownBy(world, listener, own), 'first')
  }
  const next = makeCertificate(authority, [['CN', 'shop 2']], ['shop.example'])
  writeFileSync(file, next.certPem + next.keyPem)
  await world.broker.reloadTls()
  for (const listener of OVER_TLS) {
    const asked = { ca: authority.certPem, servername: 'shop.example' }
    assert.equal(await shownBy(world, listener, asked), 'shop 2')
  }
})

test('every TLS listener shows a new certificate after a reload, and old connections go on', async (t) => {
  const world = await securedBroker(t)
  const { clients, authority, folder, broker } = world
  const login = { user: ADMIN.name, password: ADMIN.password }
  const amqp = await clients.amqp('amqps', login)
  const mqtt = [await clients.mqtt('mqtts', login), await clients.mqtt('mqtt-wss', login)]
  const admin = clients.kafka('kafkas', login).admin()
  t.after(async () => admin.disconnect())
  await admin.connect()
  const goOn = async (): Promise<void> => {
    const channel = await amqp.createChannel()
    await channel.assertQueue('', { exclusive: true })
    for (const client of mqtt) await client.publishAsync('still/here', 'x', { qos: 1 })
    await admin.listTopics()
  }
  await goOn()
  const next = makeCertificate(authority, [['CN', 'second']], ['localhost', '127.0.0.1'])
  writeFileSync(path.join(folder, 'cert.pem'), next.certPem)
  writeFileSync(path.join(folder, 'key.pem'), next.keyPem)
  await broker.reloadTls()
  for (const listener of OVER_TLS) {
    assert.equal(await shownBy(world, listener, { ca: authority.certPem }), 'second')
    await clients.logIn(listener, login)
  }
  await goOn()
  // What cannot be used changes nothing.
  writeFileSync(path.join(folder, 'cert.pem'), readFileSync(path.join(folder, 'key.pem')))
  await assert.rejects(broker.reloadTls())
  for (const listener of OVER_TLS) {
    assert.equal(await shownBy(world, listener, { ca: authority.certPem }), 'second')
  }
})

test('rules that are none are refused at the start', async () => {
  const tls = { certFile: 'none', keyFile: 'none', principalRules: 'RULE:(/x/' }
  await assert.rejects(startBroker({ tls }), (error: unknown) => {
    return error instanceof StartupError && /tls\.principalRules/.test(error.message)
  })
})
