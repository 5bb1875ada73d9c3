/** MQTT over WebSocket (section 6 of MQTT 5), with clients other people wrote. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { generate, parser, type Packet } from 'mqtt-packet'
import { startBroker } from '../../../src/server/index.ts'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'
import { makeAuthority, makeCertificate } from '../../support/certificates.ts'

async function open(t: TestContext): Promise<TestBroker> {
  const broker = await startTestBroker({ listen: { mqtt: 0, 'mqtt-ws': 0 } })
  t.after(() => broker[Symbol.asyncDispose]())
  return broker
}

async function connect(
  t: TestContext,
  url: string,
  options: IClientOptions = {},
): Promise<MqttClient> {
  const client = await connectAsync(url, { reconnectPeriod: 0, ...options })
  t.after(() => client.endAsync(true))
  return client
}

for (const version of [4, 5] as const) {
  test(`MQTT.js of version ${version} talks over WebSocket to one over TCP`, async (t) => {
    const broker = await open(t)
    const protocolVersion = version
    assert.match(broker.url('mqtt-ws'), /^ws:\/\/127\.0\.0\.1:\d+\/mqtt$/)
    const web = await connect(t, broker.url('mqtt-ws'), { protocolVersion })
    const tcp = await connect(t, broker.url('mqtt'), { protocolVersion })
    const large = Buffer.alloc(3_000_000, 7)
    for (const [from, to] of [
      [web, tcp],
      [tcp, web],
    ] as const) {
      const received: Buffer[] = []
      to.on('message', (_topic, payload) => received.push(payload))
      await to.subscribeAsync('a/#', { qos: 2 })
      const payloads = [Buffer.from('small'), large, Buffer.alloc(0)]
      for (const [qos, payload] of payloads.entries()) {
        await from.publishAsync('a/b', payload, { qos: qos as 0 | 1 | 2 })
      }
      await broker.waitFor(() => received.length === payloads.length)
      assert.deepEqual(received, payloads)
      to.removeAllListeners('message')
      await to.unsubscribeAsync('a/#')
    }
  })
}

test('a session begun over WebSocket is taken up over TCP after a crash', async (t) => {
  const broker = await open(t)
  const options: IClientOptions = { clientId: 'walker', clean: false }
  const web = await connect(t, broker.url('mqtt-ws'), options)
  await web.subscribeAsync('a', { qos: 1 })
  await web.publishAsync('a', 'x', { qos: 1 })
  await web.endAsync(true)
  const other = await connect(t, broker.url('mqtt'))
  await other.publishAsync('a', 'kept', { qos: 1 })
  await broker.crash('kill')
  const received: string[] = []
  const { default: mqtt } = await import('mqtt')
  const back = mqtt.connect(broker.url('mqtt'), { ...options, reconnectPeriod: 0 })
  t.after(() => back.endAsync(true))
  back.on('message', (_topic, payload) => received.push(payload.toString()))
  await broker.waitFor(() => received.includes('kept'))
})

/** A browser's WebSocket, as Node has one, with nothing of MQTT in it. */
class Browser {
  readonly packets: Packet[] = []
  closeCode: number | null = null
  readonly #socket: WebSocket
  readonly #opened: Promise<unknown>

  constructor(url: string, subprotocols: string | string[]) {
    this.#socket = new WebSocket(url, subprotocols)
    this.#socket.binaryType = 'arraybuffer'
    const reader = parser({ protocolVersion: 5 })
    reader.on('packet', (packet) => this.packets.push(packet))
    this.#socket.addEventListener('message', ({ data }) => {
      reader.parse(Buffer.from(data as ArrayBuffer))
    })
    this.#socket.addEventListener('close', ({ code }) => {
      this.closeCode = code
    })
    this.#opened = new Promise((resolve, reject) => {
      this.#socket.addEventListener('open', resolve)
      this.#socket.addEventListener('error', () => reject(new Error('refused')))
    })
  }

  async opened(): Promise<this> {
    await this.#opened
    return this
  }

  get subprotocol(): string {
    return this.#socket.protocol
  }

  send(bytes: Uint8Array<ArrayBuffer> | string): void {
    this.#socket.send(bytes)
  }

  close(): void {
    this.#socket.close()
  }
}

function bytesOf(packet: object): Uint8Array<ArrayBuffer> {
  return new Uint8Array(generate(packet as Packet, { protocolVersion: 5 }))
}

const CONNECT = {
  cmd: 'connect',
  protocolId: 'MQTT',
  protocolVersion: 5,
  clean: true,
  keepalive: 0,
}
const SUBSCRIBE = { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] }
const PUBLISH = { cmd: 'publish', topic: 'a', payload: 'x', qos: 1, messageId: 2, dup: false }

test('packets span messages and share them [MQTT-6.0.0-2]', async (t) => {
  const broker = await open(t)
  const browser = await new Browser(broker.url('mqtt-ws'), 'mqtt').opened()
  t.after(() => browser.close())
  const all = Buffer.concat([CONNECT, SUBSCRIBE, PUBLISH, { cmd: 'pingreq' }].map(bytesOf))
  for (const octet of all.subarray(0, 40)) browser.send(new Uint8Array([octet]))
  browser.send(new Uint8Array(0))
  browser.send(new Uint8Array(all.subarray(40)))
  await broker.waitFor(() => browser.packets.length === 5)
  const commands = browser.packets.map(({ cmd }) => cmd)
  assert.deepEqual(commands.toSorted(), ['connack', 'pingresp', 'puback', 'publish', 'suback'])
})

test('mqtt is chosen, mqttv3.1 too, and nothing else [MQTT-6.0.0-4]', async (t) => {
  const broker = await open(t)
  const url = broker.url('mqtt-ws')
  for (const [offered, chosen] of [
    [['mqtt'], 'mqtt'],
    [['mqttv3.1'], 'mqttv3.1'],
    [['x', 'mqtt'], 'mqtt'],
  ] as const) {
    const browser = await new Browser(url, [...offered]).opened()
    assert.equal(browser.subprotocol, chosen)
    browser.close()
  }
  for (const offered of [[], ['mqtt5'], ['MQTT']]) {
    await assert.rejects(new Browser(url, offered).opened(), /refused/)
  }
  await assert.rejects(new Browser(`${url}/x`, 'mqtt').opened(), /refused/)
})

test('a text message ends the connection, and the will is published [MQTT-6.0.0-1]', async (t) => {
  const broker = await open(t)
  const watcher = await connect(t, broker.url('mqtt'))
  const wills: string[] = []
  watcher.on('message', (topic) => wills.push(topic))
  await watcher.subscribeAsync('gone', { qos: 1 })
  const browser = await new Browser(broker.url('mqtt-ws'), 'mqtt').opened()
  const will = { topic: 'gone', payload: Buffer.from('x'), qos: 1, retain: false }
  browser.send(bytesOf({ ...CONNECT, clientId: 'texter', will }))
  await broker.waitFor(() => browser.packets.length === 1)
  browser.send('text')
  await broker.waitFor(() => browser.closeCode !== null && wills.length === 1)
  assert.equal(browser.closeCode, 1003)
})

test('a browser that says goodbye in one breath has published what it sent', async (t) => {
  const broker = await open(t)
  const watcher = await connect(t, broker.url('mqtt'))
  const received: string[] = []
  watcher.on('message', (topic) => received.push(topic))
  await watcher.subscribeAsync(['a', 'gone'], { qos: 1 })
  const browser = await new Browser(broker.url('mqtt-ws'), 'mqtt').opened()
  const will = { topic: 'gone', payload: Buffer.from('x'), qos: 1, retain: false }
  const packets = [
    { ...CONNECT, clientId: 'hasty', will },
    SUBSCRIBE,
    PUBLISH,
    { cmd: 'disconnect' },
  ]
  browser.send(new Uint8Array(Buffer.concat(packets.map(bytesOf))))
  browser.close()
  await broker.waitFor(() => received.length > 0)
  await broker.settle()
  assert.deepEqual(received, ['a'])
})

test('over TLS, with a certificate of our own', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'waystation-wss-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const authority = makeAuthority('Test authority')
  const server = makeCertificate(authority, [['CN', 'server']], ['localhost', '127.0.0.1'])
  const certFile = path.join(folder, 'cert.pem')
  const keyFile = path.join(folder, 'key.pem')
  await writeFile(certFile, server.certPem)
  await writeFile(keyFile, server.keyPem)
  const broker = await startBroker({ listen: { 'mqtt-wss': 0 }, tls: { certFile, keyFile } })
  t.after(() => broker.close({ timeoutMs: 0 }))
  const url = broker.url('mqtt-wss')
  assert.match(url, /^wss:\/\/127\.0\.0\.1:\d+\/mqtt$/)
  const client = await connect(t, url, { ca: authority.certPem, protocolVersion: 5 })
  await client.subscribeAsync('a', { qos: 1 })
  const message = once(client as never, 'message')
  await client.publishAsync('a', 'secret', { qos: 1 })
  assert.equal(String((await message)[1]), 'secret')
})
