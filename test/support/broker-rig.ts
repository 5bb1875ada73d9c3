import {
  Broker,
  type Consumer,
  type DeliverySink,
  type DestinationSpec,
  type ExchangeSpec,
  type StoredMessage,
  type VirtualHost,
} from '../../src/broker/index.ts'
import type { Engine } from '../../src/engine/contract.ts'
import { openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { SeededRandom } from '../../src/lib/random.ts'
import { Turn } from '../../src/lib/turn.ts'
import { encodeAddress } from '../../src/model/address.ts'
import { MessageDraft } from '../../src/model/message-draft.ts'

/** A broker without protocols, in memory and in virtual time. */
export interface BrokerRig {
  readonly broker: Broker
  readonly vhost: VirtualHost
  readonly clock: ManualClock
  readonly engine: Engine
  /** What the broker complained about. */
  readonly complaints: string[]
}

type BrokerOptions = Parameters<typeof Broker.open>[0]
type Limits = NonNullable<BrokerOptions['limits']>

export async function openBroker(
  given: Partial<Pick<BrokerOptions, 'engine' | 'limits' | 'calendar'>> & {
    readonly clock?: ManualClock
  } = {},
): Promise<BrokerRig> {
  const clock = given.clock ?? new ManualClock()
  const engine = given.engine ?? (await openEmbeddedEngine({ memory: true, clock }))
  const complaints: string[] = []
  const complain = (_fields: object, text: string): void => void complaints.push(text)
  const broker = await Broker.open({
    engine,
    clock,
    random: new SeededRandom(1),
    turn: new Turn(),
    log: { info: () => {}, warn: complain, error: complain },
    ...(given.limits === undefined ? {} : { limits: given.limits }),
    ...(given.calendar === undefined ? {} : { calendar: given.calendar }),
  })
  return { broker, vhost: broker.vhost('/')!, clock, engine, complaints }
}

/** Closes the broker and opens it again on the same engine. */
export async function reopenBroker(rig: BrokerRig, limits?: Limits): Promise<BrokerRig> {
  await rig.broker.close()
  const { engine, clock } = rig
  return openBroker({ engine, clock, ...(limits === undefined ? {} : { limits }) })
}

/** Enough turns of the event loop for dispatch, commit and reads from memory. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

export function queueSpec(
  name: string,
  settings: DestinationSpec['settings'] = {},
  more: Partial<DestinationSpec> = {},
): DestinationSpec {
  return {
    name,
    profile: 'queue',
    durable: true,
    autoDelete: false,
    exclusiveOwner: null,
    arguments: new Map(),
    settings,
    countsAttempts: false,
    prioritiesMax: 0,
    singleActive: false,
    ...more,
  }
}

export function exchangeSpec(name: string, more: Partial<ExchangeSpec> = {}): ExchangeSpec {
  return {
    name,
    type: 'direct',
    delayed: false,
    durable: true,
    autoDelete: false,
    internal: false,
    arguments: new Map(),
    alternateExchange: null,
    ...more,
  }
}

export function bindingSpec(
  source: string,
  target: string,
  more: Partial<Parameters<VirtualHost['bind']>[0]> = {},
): Parameters<VirtualHost['bind']>[0] {
  return { source, target, targetKind: 'destination', key: '', arguments: new Map(), ...more }
}

function textDraft(
  exchange: string,
  key: string,
  body: string,
  more: Partial<MessageDraft> = {},
): MessageDraft {
  const draft = new MessageDraft()
  const address = encodeAddress(exchange, key)
  draft.setAddress(address, 0, address.length)
  const bytes = Buffer.from(body)
  draft.setBody(bytes, 0, bytes.length)
  draft.persistent = true
  return Object.assign(draft, more)
}

/** Returns what `VirtualHost.publish` does: 0 unrouted, 1 routed, 2 refused. */
export function publish(
  vhost: VirtualHost,
  exchange: string,
  key: string,
  body: string,
  more: Partial<MessageDraft> = {},
): number {
  const route = vhost.route(vhost.exchange(exchange)!, key)
  return vhost.publish(route, textDraft(exchange, key, body, more))
}

export interface Delivery {
  readonly body: string
  readonly offset: number
  readonly redelivered: boolean
  readonly attempts: number
  /** `queue:reason:count`, newest first. */
  readonly deaths: readonly string[]
}

/** A consumer that takes `credit` messages and keeps what it got. */
export class Taker implements DeliverySink {
  readonly got: Delivery[] = []
  cancelledCount = 0
  credit: number

  constructor(credit: number = Infinity) {
    this.credit = credit
  }

  deliver(
    consumer: Consumer,
    message: StoredMessage,
    offset: number,
    redelivered: boolean,
    attempts: number,
  ): void {
    const body = message.data.toString('utf8', message.bodyStart, message.bodyEnd)
    const deaths = (message.annotations?.deaths ?? []).map(
      (death) => `${death.queue}:${death.reason}:${death.count}`,
    )
    this.got.push({ body, offset, redelivered, attempts, deaths })
    if (--this.credit <= 0) consumer.pause()
  }

  cancelled(): void {
    this.cancelledCount++
  }

  get bodies(): string[] {
    return this.got.map((delivery) => delivery.body)
  }
}

export function consume(
  vhost: VirtualHost,
  queue: string,
  sink: DeliverySink,
  more: Partial<Parameters<NonNullable<ReturnType<VirtualHost['destination']>>['consume']>[0]> = {},
): Consumer {
  const consumer = vhost.destination(queue)!.consume({
    sink,
    tag: 't',
    noAck: false,
    exclusive: false,
    priority: 0,
    owner: sink,
    arguments: new Map(),
    ...more,
  })
  consumer.resume()
  return consumer
}
