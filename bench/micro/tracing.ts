/**
 * What traces cost inside the broker: `node bench/micro/tracing.ts [messages] [turns]`, by default
 * 10,000 messages in each of 200 turns of every mode.
 *
 * The broker is in this process, in memory, without a protocol: one queue, one consumer that
 * accepts at once, 100 bytes. The modes take short turns, so that what else the machine does hits all
 * alike; the last one, whose garbage others would sweep, comes after them.
 */
import { Broker } from '../../src/broker/index.ts'
import { openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemRandom } from '../../src/lib/random.ts'
import { Turn } from '../../src/lib/turn.ts'
import { encodeAddress } from '../../src/model/address.ts'
import { MessageDraft } from '../../src/model/message-draft.ts'

const [messages = 10_000, turns = 200] = process.argv.slice(2).map(Number)
const BODY_BYTES = 100
/** Messages published in one turn of the event loop. */
const BATCH = 500
/** Until all code is compiled and the rings of the traces are as large as they get. */
const WARM_UP_TURNS = 50
const MODES = [
  [
    { name: 'off', sample: 0 },
    // A rule is on, and takes nothing.
    { name: 'none', sample: 1e-9 },
    { name: '1 %', sample: 0.01 },
  ],
  [{ name: '100 %', sample: 1 }],
]

const engine = await openEmbeddedEngine({ memory: true, clock: systemClock })
const log = { info: () => {}, warn: console.warn, error: console.error }
const parts = { engine, clock: systemClock, random: systemRandom, turn: new Turn(), log }
const broker = await Broker.open(parts)
const vhost = broker.vhost('/')!
const queue = await vhost.declareQueue({
  name: 'q',
  profile: 'queue',
  durable: true,
  autoDelete: false,
  exclusiveOwner: null,
  arguments: new Map(),
  settings: {},
  countsAttempts: false,
  prioritiesMax: 0,
  singleActive: false,
})
const actor = { protocol: 'none', connectionId: 1, connection: 'bench', user: null, clientId: null }
const consumer = queue.consume({
  sink: {
    deliver: (_consumer, _message, offset) => queue.accept(offset),
    cancelled() {},
  },
  ...{ tag: 'bench', noAck: false, exclusive: false, priority: 0, arguments: new Map() },
  ...{ owner: actor, actor },
})
consumer.resume()
const draft = new MessageDraft()
const address = encodeAddress('', 'q')
draft.setAddress(address, 0, address.length)
draft.persistent = true
draft.setBody(Buffer.alloc(BODY_BYTES), 0, BODY_BYTES)
draft.actor = actor
const route = vhost.route(vhost.exchange('')!, 'q')

const found = new Map<string, number[]>()
for (const group of MODES) {
  for (let turn = -WARM_UP_TURNS; turn < turns; turn++) {
    for (const { name, sample } of group) {
      const rule =
        sample === 0
          ? null
          : broker.tracer.start({ vhost: null, sample, forMs: Infinity, countMax: Infinity })
      const micros = await microsPerMessage()
      if (rule !== null) broker.tracer.stop(rule.rule)
      if (turn >= 0) found.set(name, [...(found.get(name) ?? []), micros])
    }
  }
}
const off = least(found.get('off')!)
for (const [name, values] of found) {
  const micros = least(values)
  const more = `${((micros / off - 1) * 100).toFixed(1)} % more than off`
  console.log(`${name.padEnd(6)} ${micros.toFixed(3)} µs CPU a message, ${more}`)
}
await broker.close()
await engine.close()

/** Of this process: what others use meanwhile does not count. */
async function microsPerMessage(): Promise<number> {
  const before = process.cpuUsage()
  for (let n = 0; n < messages; n++) {
    vhost.publish(route, draft)
    if (n % BATCH === BATCH - 1) await new Promise((resolve) => setImmediate(resolve))
  }
  const { user, system } = process.cpuUsage(before)
  return (user + system) / messages
}

/** A tenth from the least: what else the machine does only adds. */
function least(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 10)]!
}
