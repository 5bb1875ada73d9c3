import type { Latencies, RunCounts, RunResult } from '../load/index.ts'
import { AmqpRun, BODY_SIZE_MIN, ChildBroker, MqttRun } from '../load/index.ts'
import { systemClock } from '../lib/clock.ts'
import type { BrokerStatus } from '../model/shapes/status.ts'
import { parseDurationMs, parseSize } from '../server/quantity.ts'
import { AdminClient, apiPath, type ConnectFlags } from './admin-client.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printJson } from './listings.ts'
import { readPassword } from './password.ts'
import { stopSignal } from './stop-signal.ts'
import { cellText } from './table.ts'

export interface BenchFlags {
  readonly data?: string
  readonly config?: string
  readonly broker?: string
  readonly start?: boolean
  readonly user?: string
  readonly protocol: string
  readonly publishers: string
  readonly consumers: string
  readonly queues: string
  readonly size: string
  readonly for: string
  readonly count?: string
  readonly rate: string
  readonly window: string
  readonly prefetch: string
  readonly qos: string
  readonly json?: boolean
}

type Protocol = 'amqp' | 'mqtt'

interface Place {
  readonly host: string
  readonly port: number
  readonly user?: string
  readonly password?: string
  readonly vhost?: string
}

/** What runs, whatever it speaks. */
interface Run {
  readonly counts: RunCounts
  stop(): void
  run(): Promise<RunResult>
}

const STANDARD_PORTS: Readonly<Record<Protocol, number>> = { amqp: 5672, mqtt: 1883 }
const PROGRESS_MS = 1000
/** What one client program may reasonably open; each has a buffer of a megabyte. */
const CLIENTS_MAX = 1000
const QUEUES_MAX = 1000
const WINDOW_MAX = 65_535
const BODY_BYTES_MAX = 64 * 1024 * 1024
const RATE_MAX = 10_000_000

/** Loads a broker and says how it did; Ctrl+C ends it early. Throws `CommandError`. */
export async function bench(flags: BenchFlags): Promise<void> {
  const plan = planOf(flags)
  await using started = flags.start === true ? await startBroker(plan.protocol) : null
  const place = await placeOf(flags, plan.protocol, started)
  const run = await opened(place, plan)
  void stopSignal().then(() => run.stop())
  const progress = showProgress(run)
  let result: RunResult
  try {
    result = await run.run()
  } catch (cause) {
    throw new CommandError(EXIT.FAILED, (cause as Error).message, { cause })
  } finally {
    progress.stop()
  }
  report(plan, place, result, flags.json === true)
}

interface Plan {
  readonly protocol: Protocol
  readonly publishers: number
  readonly consumers: number
  readonly queues: number
  readonly bodyBytes: number
  readonly seconds: number
  readonly count: number
  readonly rate: number
  readonly window: number
  readonly prefetch: number
  readonly qos: 0 | 1 | 2
}

function planOf(flags: BenchFlags): Plan {
  const { protocol } = flags
  if (protocol !== 'amqp' && protocol !== 'mqtt') {
    throw new CommandError(EXIT.USAGE, `--protocol is '${protocol}', expected amqp or mqtt`)
  }
  const isAmqp = protocol === 'amqp'
  const durationMs = parseDurationMs(flags.for)
  if (durationMs === undefined || durationMs < 1) {
    throw new CommandError(EXIT.USAGE, `--for is '${flags.for}', expected a time such as 10s`)
  }
  const bodyBytes = parseSize(flags.size)
  if (bodyBytes === undefined || bodyBytes < BODY_SIZE_MIN || bodyBytes > BODY_BYTES_MAX) {
    const limits = `from ${BODY_SIZE_MIN} bytes to 64MiB`
    throw new CommandError(EXIT.USAGE, `--size is '${flags.size}', expected a size ${limits}`)
  }
  const plan: Plan = {
    protocol,
    bodyBytes,
    seconds: durationMs / 1000,
    publishers: within(flags.publishers, '--publishers', [1, CLIENTS_MAX]),
    // What MQTT has no subscriber for is dropped, and so measures nothing.
    consumers: within(flags.consumers, '--consumers', [isAmqp ? 0 : 1, CLIENTS_MAX]),
    queues: within(flags.queues, '--queues', [1, QUEUES_MAX]),
    count: within(flags.count ?? String(Number.MAX_SAFE_INTEGER), '--count', [1, Infinity]),
    rate: within(flags.rate, '--rate', [0, RATE_MAX]),
    window: within(flags.window, '--window', [1, WINDOW_MAX]),
    prefetch: within(flags.prefetch, '--prefetch', [1, WINDOW_MAX]),
    qos: within(flags.qos, '--qos', [0, 2]) as 0 | 1 | 2,
  }
  if (!isAmqp && (plan.rate > 0 || plan.queues > 1)) {
    throw new CommandError(EXIT.USAGE, '--rate and --queues are for AMQP only')
  }
  return plan
}

function within(text: string, flag: string, [min, max]: readonly [number, number]): number {
  const number = Number(text)
  if (text.trim() !== '' && Number.isSafeInteger(number) && number >= min && number <= max) {
    return number
  }
  const upper = max === Infinity ? 'up' : `to ${max}`
  throw new CommandError(EXIT.USAGE, `${flag} is '${text}', expected a number from ${min} ${upper}`)
}

async function startBroker(protocol: Protocol): Promise<ChildBroker> {
  try {
    return await ChildBroker.start(process.argv[1] ?? '', [protocol])
  } catch (cause) {
    throw new CommandError(EXIT.FAILED, (cause as Error).message, { cause })
  }
}

async function placeOf(
  flags: BenchFlags,
  protocol: Protocol,
  started: ChildBroker | null,
): Promise<Place> {
  if (started !== null) return addressOf(started.listeners[protocol] ?? '')
  const login = await loginOf(flags.user)
  if (flags.broker !== undefined) return { ...placeOfUrl(flags.broker, protocol), ...login }
  const connect: ConnectFlags = {
    url: '',
    ...(flags.data === undefined ? {} : { data: flags.data }),
    ...(flags.config === undefined ? {} : { config: flags.config }),
  }
  const client = await AdminClient.connect(connect)
  const { listeners } = (await client.request('GET', apiPath(['status']))) as BrokerStatus
  const listener = listeners.find(({ name }) => name === protocol)
  if (listener === undefined) {
    throw new CommandError(EXIT.UNAVAILABLE, `that broker does not listen for ${protocol}`)
  }
  return { ...addressOf(listener.address), ...login }
}

async function loginOf(user: string | undefined): Promise<{ user?: string; password?: string }> {
  const name = user ?? process.env['WAYSTATION_USER']
  if (name === undefined) return {}
  const password =
    process.env['WAYSTATION_PASSWORD'] ?? (await readPassword(`password of ${name}: `))
  return { user: name, password }
}

function placeOfUrl(text: string, protocol: Protocol): Place {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || url.protocol !== `${protocol}:` || url.hostname === '') {
    const example = `${protocol}://127.0.0.1:${STANDARD_PORTS[protocol]}`
    throw new CommandError(EXIT.USAGE, `--broker ${text}: expected a URL such as ${example}`)
  }
  if (url.password !== '') {
    const hint = 'a password in it shows in the list of processes: use --user'
    throw new CommandError(EXIT.USAGE, `--broker: ${hint}, WAYSTATION_PASSWORD`)
  }
  const vhost = decodeURIComponent(url.pathname.slice(1))
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? STANDARD_PORTS[protocol] : Number(url.port),
    ...(vhost === '' ? {} : { vhost }),
  }
}

/** Of a listener: those that stand for all addresses are reached over loopback. */
function addressOf(text: string): Place {
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(text) ?? []
  const isAny = host === '::' || host === '0.0.0.0'
  return { host: isAny ? '127.0.0.1' : host, port: Number(port) }
}

async function opened(place: Place, plan: Plan): Promise<Run> {
  const own = `waystation-bench-${process.pid}`
  try {
    if (plan.protocol === 'amqp') return await AmqpRun.open({ ...place, ...plan, prefix: own })
    return await MqttRun.open({
      ...place,
      ...plan,
      // MQTT 5 would hold each publisher to the receive maximum of the broker.
      version: 4,
      subscribers: plan.consumers,
      topic: own,
      count: Math.ceil(plan.count / plan.publishers),
    })
  } catch (cause) {
    const where = `${place.host}:${place.port}`
    const message = `no ${plan.protocol} at ${where}: ${(cause as Error).message}`
    throw new CommandError(EXIT.UNAVAILABLE, message, { cause })
  }
}

/** On a terminal: what the last second brought. */
function showProgress(run: Run): { stop(): void } {
  if (!process.stderr.isTTY) return { stop: () => undefined }
  let last = run.counts
  let atMs = systemClock.monotonicMs()
  let timer = systemClock.setTimer(PROGRESS_MS, show)
  function show(): void {
    const nowMs = systemClock.monotonicMs()
    const seconds = (nowMs - atMs) / 1000
    const { counts } = run
    const published = perSecond((counts.published - last.published) / seconds)
    const consumed = perSecond((counts.consumed - last.consumed) / seconds)
    process.stderr.write(`\r\u001b[Kpublished ${published}  consumed ${consumed}`)
    last = counts
    atMs = nowMs
    timer = systemClock.setTimer(PROGRESS_MS, show)
  }
  return {
    stop: () => {
      timer.cancel()
      process.stderr.write('\r\u001b[K')
    },
  }
}

function report(plan: Plan, place: Place, result: RunResult, isJson: boolean): void {
  const { protocol, publishers, consumers, queues, bodyBytes, qos } = plan
  if (isJson) {
    const { confirmLatencies: confirm, deliveryLatencies: delivery, ...figures } = result
    const load = { protocol, publishers, consumers, queues, bodyBytes }
    const only = protocol === 'mqtt' ? { qos } : {}
    printJson({
      ...load,
      ...only,
      broker: `${place.host}:${place.port}`,
      ...figures,
      confirm,
      delivery,
    })
    return
  }
  const kind =
    protocol === 'mqtt' ? `MQTT 3.1.1, QoS ${qos}` : `AMQP 0-9-1, ${count(queues, 'queue')}`
  const clients = `${count(publishers, 'publisher')}, ${count(consumers, 'consumer')}`
  const lines = [
    `${cellText(place.host)}:${place.port}: ${kind}, ${clients}, ${bodyBytes} bytes, ${result.seconds.toFixed(1)} s`,
    `published  ${amount(result.published, result.publishedPerSecond, bodyBytes)}`,
    ...(consumers === 0
      ? []
      : [`consumed   ${amount(result.consumed, result.consumedPerSecond, bodyBytes)}`]),
    ...latencyLine('confirm ', result.confirmLatencies),
    ...latencyLine('delivery', result.deliveryLatencies),
    ...(result.redelivered === 0 ? [] : [`redelivered ${result.redelivered}`]),
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

function amount(total: number, rate: number, bodyBytes: number): string {
  const megabytes = ((rate * bodyBytes) / 1_000_000).toFixed(1)
  return `${total.toLocaleString('en').padStart(13)}  ${perSecond(rate).padStart(12)}  ${megabytes} MB/s`
}

function perSecond(rate: number): string {
  return `${Math.round(rate).toLocaleString('en')}/s`
}

function latencyLine(name: string, latencies: Latencies | null): string[] {
  if (latencies === null) return []
  const { p50Ms, p99Ms, p999Ms, maxMs } = latencies
  const figures = Object.entries({ p50: p50Ms, p99: p99Ms, 'p99.9': p999Ms, max: maxMs })
  return [`${name}   ${figures.map(([part, ms]) => `${part} ${ms.toFixed(2)} ms`).join('  ')}`]
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
