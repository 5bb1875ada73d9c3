/**
 * The broker that a test file talks to.
 *
 * `WAYSTATION_TEST_TARGET=amqp://guest:guest@127.0.0.1:5673` names a broker that runs already, such
 * as a real RabbitMQ, by which the tests themselves are proven. Without it each test file
 * starts a Waystation of its own.
 */
import { BrokerProcess } from './broker-process.ts'

export interface Target {
  /** With user and password, without a path. */
  readonly url: string
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  /** The process behind it when it is our own: only then it may be restarted. */
  readonly process: BrokerProcess | null
}

let opened: Promise<Target> | null = null

/** The one target of this process, started at the first call. */
export async function openTarget(): Promise<Target> {
  opened ??= openFirst()
  return opened
}

async function openFirst(): Promise<Target> {
  const given = process.env['WAYSTATION_TEST_TARGET']
  if (given !== undefined && given !== '') return targetOf(new URL(given), null)
  const broker = new BrokerProcess()
  await broker.start()
  return targetOf(new URL(`amqp://guest:guest@127.0.0.1:${broker.port}`), broker)
}

/** The same broker after a restart, on its new port; later calls of `openTarget` get it too. */
export async function reopenTarget(broker: BrokerProcess): Promise<Target> {
  opened = Promise.resolve(targetOf(new URL(`amqp://guest:guest@127.0.0.1:${broker.port}`), broker))
  return opened
}

/** Ends the process, if it is ours, and removes its data. */
export async function closeTarget(): Promise<void> {
  const target = await opened?.catch(() => null)
  opened = null
  await target?.process?.[Symbol.asyncDispose]()
}

function targetOf(url: URL, broker: BrokerProcess | null): Target {
  const port = Number(url.port === '' ? 5672 : url.port)
  const user = decodeURIComponent(url.username || 'guest')
  const password = decodeURIComponent(url.password || 'guest')
  const credentials = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`
  return {
    url: `amqp://${credentials}@${url.hostname}:${port}`,
    host: url.hostname,
    port,
    user,
    password,
    process: broker,
  }
}
