import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openEmbeddedEngine } from '../engine/embedded/index.ts'
import { ManualClock } from '../lib/clock.ts'
import { SeededRandom } from '../lib/random.ts'
import { Turn } from '../lib/turn.ts'
import { encodeAddress } from '../model/address.ts'
import { MessageDraft } from '../model/message-draft.ts'
import { Broker } from './broker.ts'
import type { DestinationSpec } from './destination.ts'
import type { VirtualHost } from './virtual-host.ts'

const SILENT = { info: () => {}, warn: () => {}, error: () => {} }
const BODY = Buffer.alloc(1000, 'x')

function queueSpec(name: string): DestinationSpec {
  return {
    name,
    profile: 'queue',
    durable: true,
    autoDelete: false,
    exclusiveOwner: null,
    arguments: new Map(),
    settings: {},
    countsAttempts: false,
    prioritiesMax: 0,
    singleActive: false,
  }
}

function publish(vhost: VirtualHost, queue: string, text: string): void {
  const draft = new MessageDraft()
  const address = encodeAddress('', queue)
  draft.setAddress(address, 0, address.length)
  const body = Buffer.concat([Buffer.from(text.padEnd(20)), BODY])
  draft.setBody(body, 0, body.length)
  draft.persistent = true
  vhost.publish(vhost.route(vhost.exchange('')!, queue), draft)
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Takes every waiting message of a queue; returns the texts in order. */
async function drain(vhost: VirtualHost, queue: string): Promise<string[]> {
  const texts: string[] = []
  const destination = vhost.destination(queue)!
  const consumer = destination.consume({
    sink: {
      deliver: (_consumer, message) => {
        texts.push(message.data.toString('utf8', message.bodyStart, message.bodyStart + 20).trim())
      },
      cancelled: () => {},
    },
    tag: 't',
    noAck: true,
    exclusive: false,
    priority: 0,
    owner: texts,
    arguments: new Map(),
  })
  consumer.resume()
  for (let left = 2000; left > 0 && destination.readyCount > 0; left--) await turns(10)
  consumer.cancel()
  return texts
}

test('one old message among many settled ones pins nothing, and is still there in its place', async () => {
  const clock = new ManualClock()
  await using engine = await openEmbeddedEngine({ memory: true, clock, segmentBytes: 4 << 20 })
  const open = (): Promise<Broker> =>
    Broker.open({ engine, clock, random: new SeededRandom(1), turn: new Turn(), log: SILENT })
  const broker = await open()
  const vhost = broker.vhost('/')!
  await vhost.declareQueue(queueSpec('old'))
  await vhost.declareQueue(queueSpec('busy'))
  publish(vhost, 'old', 'first')
  for (let round = 0; round < 30; round++) {
    for (let n = 0; n < 1500; n++) publish(vhost, 'busy', `${round}.${n}`)
    if (round === 10) publish(vhost, 'old', 'second')
    await turns(5)
    assert.equal((await drain(vhost, 'busy')).length, 1500)
  }
  for (let tick = 0; tick < 20; tick++) {
    clock.advance(600)
    await turns(50)
  }
  assert.ok(broker.storedBytes < 24 << 20, `${broker.storedBytes} bytes stored`)
  await broker.close()
  const again = await open()
  const reopened = again.vhost('/')!
  assert.deepEqual(await drain(reopened, 'old'), ['first', 'second'])
  assert.equal(reopened.destination('busy')!.readyCount, 0)
  await again.close()
})
