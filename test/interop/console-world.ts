/** A broker with traffic of four protocols, and a browser that looks at its console. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import amqp from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import mqtt from 'mqtt'
import { type Browser, chromium, type Page } from 'playwright-core'
import { BrokerProcess } from '../support/broker-process.ts'
import { serveOrders } from './console-service.ts'

const CHROMIUM = '/usr/bin/chromium'
const BUILD = path.join(import.meta.dirname, '../../tools/build-console.ts')

/** Why nothing can be looked at here; false: it can. */
export const skip: string | false = existsSync(CHROMIUM)
  ? false
  : 'chromium is absent (test/interop/setup.sh fetches it)'

/** So that a machine without a way out is asked for nothing. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const WITHIN_MS = 30_000
const BEAT_MS = 100

export interface ConsoleWorld extends AsyncDisposable {
  readonly broker: BrokerProcess
  readonly browser: Browser
  readonly url: string
  readonly amqp: amqp.ChannelModel
}

export async function openConsoleWorld(): Promise<ConsoleWorld> {
  await using opened = new AsyncDisposableStack()
  spawnSync(process.execPath, [BUILD, '--if-needed'], { stdio: 'inherit' })
  const broker = opened.use(new BrokerProcess())
  await broker.start()
  const connection = await openTraffic(broker, opened)
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS })
  opened.defer(async () => browser.close())
  const all = opened.move()
  return {
    broker,
    browser,
    amqp: connection,
    url: `http://127.0.0.1:${broker.httpPort}`,
    [Symbol.asyncDispose]: async () => all.disposeAsync(),
  }
}

/** A few of everything, and messages that go on coming until the world ends. */
async function openTraffic(
  broker: BrokerProcess,
  opened: AsyncDisposableStack,
): Promise<amqp.ChannelModel> {
  const connection = await amqp.connect(`amqp://guest:guest@127.0.0.1:${broker.port}`)
  opened.defer(async () => connection.close())
  const channel = await connection.createChannel()
  await channel.assertExchange('shop', 'topic', { durable: true })
  await channel.assertQueue('orders', { deadLetterExchange: '', deadLetterRoutingKey: 'graveyard' })
  await channel.assertQueue('graveyard')
  await channel.assertQueue('pile')
  await channel.assertQueue('invoices')
  await channel.bindQueue('orders', 'shop', 'order.#')
  await channel.bindQueue('invoices', 'shop', 'order.paid')
  await channel.prefetch(5)
  await channel.consume('orders', (message) => message && channel.ack(message))
  const stuck = await connection.createChannel()
  await stuck.prefetch(2)
  await stuck.consume('invoices', () => {}, { consumerTag: 'sleepy' })
  for (let at = 0; at < 8; at++) {
    channel.sendToQueue('graveyard', Buffer.from(`{"order":${at},"total":${at * 10}}`), {
      contentType: 'application/json',
      messageId: `dead-${at}`,
      headers: { reason: 'address unknown', attempt: at },
    })
  }

  channel.sendToQueue('pile', Buffer.from('soup'), {
    headers: { 'x-deliver-after': 3_600_000, 'x-schedule-id': 'dinner' },
  })

  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.mqttPort}`, {
    username: 'guest',
    password: 'guest',
    protocolVersion: 5,
    clientId: 'thermometer',
  })
  opened.defer(async () => client.endAsync())
  await client.subscribeAsync('home/+/temperature', { qos: 1 })

  const kafka = new Kafka({
    brokers: [`127.0.0.1:${broker.kafkaPort}`],
    clientId: 'clicks-service',
    logLevel: logLevel.NOTHING,
  })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'clicks', numPartitions: 3 }] })
  await admin.disconnect()
  const producer = kafka.producer()
  await producer.connect()
  opened.defer(async () => producer.disconnect())
  const consumer = kafka.consumer({ groupId: 'analysis' })
  await consumer.connect()
  opened.defer(async () => consumer.disconnect())
  await consumer.subscribe({ topics: ['clicks'], fromBeginning: true })
  await consumer.run({ eachMessage: async () => Promise.resolve() })

  opened.use(await serveOrders(`rpc://guest:guest@127.0.0.1:${broker.rpcPort}`))
  // As any program calls by Connect; some orders are too large.
  const order = async (count: number): Promise<void> => {
    const response = await fetch(`http://127.0.0.1:${broker.rpcPort}/shop.v1.Orders/place`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify({ sku: 'tea', count }),
    })
    await response.text()
  }

  let at = 0
  const timer = setInterval(() => {
    at++
    const key = at % 3 === 0 ? 'order.paid' : 'order.new'
    channel.publish('shop', key, Buffer.from(`{"order":${at}}`), {
      contentType: 'application/json',
      messageId: `order-${at}`,
    })
    client.publish('home/kitchen/temperature', String(20 + (at % 5)), { qos: 1 })
    // The world may end while it is on its way.
    producer
      .send({ topic: 'clicks', messages: [{ key: `user-${at % 7}`, value: `click ${at}` }] })
      .catch(() => {})
    order(at % 7).catch(() => {})
  }, BEAT_MS)
  opened.defer(() => clearInterval(timer))
  return connection
}

/** Waits for `check` to say yes; the machine may be slow. */
export async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + WITHIN_MS
  while (!(await check())) {
    if (performance.now() > deadlineMs) throw new Error(`${what}: not within ${WITHIN_MS} ms`)
    await sleep(50)
  }
}

export interface Faults {
  /** What the page complained about: errors of scripts, refusals of its policy. */
  readonly texts: string[]
}

/** A page that is logged in. */
export async function openPage(
  world: ConsoleWorld,
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<{ readonly page: Page; readonly faults: Faults }> {
  const context = await world.browser.newContext(options)
  context.setDefaultTimeout(WITHIN_MS)
  const page = await context.newPage()
  const faults: Faults = { texts: [] }
  page.on('pageerror', (error) => faults.texts.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error') faults.texts.push(message.text())
  })
  await page.goto(world.url)
  await page.locator('input[name=username]').fill('guest')
  await page.locator('input[name=password]').fill('guest')
  await page.locator('button[type=submit]').click()
  await page.locator('.frame').waitFor()
  return { page, faults }
}
