import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  bindingSpec,
  type BrokerRig,
  consume,
  openBroker,
  publish,
  queueSpec,
  Taker,
  turns,
} from '../../test/support/broker-rig.ts'
import { MessageFilter, type Queue } from './index.ts'

async function rigOf(
  limits: Parameters<typeof openBroker>[0] = {},
  more: Parameters<typeof queueSpec>[2] = {},
): Promise<BrokerRig> {
  const rig = await openBroker(limits)
  await rig.vhost.declareQueue(queueSpec('q', {}, more))
  await rig.vhost.bind(bindingSpec('amq.topic', 'q', { key: '#' }))
  return rig
}

function wanting(key: string): { filter: MessageFilter } {
  return { filter: MessageFilter.of(new Map([['x-filter-sql', `p.subject = '${key}'`]]))! }
}

function queueOf({ vhost }: BrokerRig): Queue {
  return vhost.destination('q') as Queue
}

test('a long queue is gone through once for each filter, however small the credit is', async () => {
  const rig = await rigOf()
  for (let n = 0; n < 20_000; n++)
    publish(rig.vhost, 'amq.topic', n % 100 === 0 ? 'a' : 'b', `${n}`)
  await turns(5)
  const taker = new Taker(1)
  const consumer = consume(rig.vhost, 'q', taker, wanting('a'))
  const twin = new Taker(1)
  const second = consume(rig.vhost, 'q', twin, wanting('a'))
  for (let round = 0; taker.got.length + twin.got.length < 200; round++) {
    assert.ok(round < 2000, 'it comes to an end')
    await turns(2)
    for (const [sink, each] of [
      [taker, consumer],
      [twin, second],
    ] as const) {
      if (sink.credit > 0) continue
      queueOf(rig).accept(sink.got.at(-1)!.offset)
      sink.credit = 1
      each.resume()
    }
  }
  const all = [...taker.bodies, ...twin.bodies].map(Number).toSorted((a, b) => a - b)
  assert.deepEqual(
    all,
    Array.from({ length: 200 }, (_, at) => at * 100),
  )
  assert.ok(taker.got.length > 90 && twin.got.length > 90, 'those that want the same take turns')
  await turns(20)
  const { looked } = queueOf(rig).filterStanding(consumer)!
  assert.ok(looked <= 20_000, `${looked} looks`)
  assert.equal(queueOf(rig).readyCount, 19_800)
  await rig.broker.close()
})

test('one that comes first is not overtaken while it has not looked at all that waits', async () => {
  const rig = await rigOf()
  const first = new Taker(1)
  const high = consume(rig.vhost, 'q', first, { ...wanting('a'), priority: 1 })
  const second = new Taker()
  consume(rig.vhost, 'q', second)
  publish(rig.vhost, 'amq.topic', 'a', '1')
  await turns(2)
  high.pause()
  second.credit = 0
  publish(rig.vhost, 'amq.topic', 'b', '2')
  await turns(2)
  assert.deepEqual([first.bodies, second.bodies], [['1'], ['2']])
  // It fell behind, and in one turn can take more and finds more.
  publish(rig.vhost, 'amq.topic', 'b', '3')
  first.credit = 2
  second.credit = 2
  high.resume()
  ;[...rig.vhost.destination('q')!.consumers()][1]!.resume()
  publish(rig.vhost, 'amq.topic', 'a', '4')
  await turns(3)
  assert.deepEqual(
    [first.bodies, second.bodies],
    [
      ['1', '4'],
      ['2', '3'],
    ],
  )
  await rig.broker.close()
})

test('a filter too many, and one of a key-shared queue, is refused with the reason', async () => {
  const rig = await rigOf({ limits: { queueFiltersMax: 2 } })
  consume(rig.vhost, 'q', new Taker(), wanting('a'))
  const last = consume(rig.vhost, 'q', new Taker(), wanting('b'))
  consume(rig.vhost, 'q', new Taker(), wanting('b'))
  const text = "consumers of queue 'q' have 2 different filters, the limit"
  assert.throws(() => consume(rig.vhost, 'q', new Taker(), wanting('c')), { message: text })
  consume(rig.vhost, 'q', new Taker(), { ...wanting('b'), priority: 2 })
  assert.throws(
    () => consume(rig.vhost, 'q', new Taker(), { keyShared: { header: '' } }),
    /it is not key-shared/,
  )
  last.cancel()
  assert.equal(queueOf(rig).consumerCount, 3)

  await rig.vhost.declareQueue(queueSpec('keyed', { keyShared: true }))
  assert.throws(() => consume(rig.vhost, 'keyed', new Taker(), wanting('a')), {
    code: 'PRECONDITION_FAILED',
    message: "queue 'keyed' is key-shared, and its consumers cannot filter",
  })
  await rig.broker.close()
})

test('order by key that a policy asks for begins when no consumer filters any more', async () => {
  const rig = await rigOf()
  const queue = queueOf(rig)
  const consumer = consume(rig.vhost, 'q', new Taker(), wanting('a'))
  queue.applySettings({ keyShared: true })
  assert.equal(queue.keySharing, null)
  consumer.cancel()
  assert.deepEqual(queue.keySharing, { header: '' })
  await rig.broker.close()
})

test('more returns than are remembered are found by looking again', async () => {
  const rig = await rigOf({ limits: { filterReturnsMax: 4 } })
  const queue = queueOf(rig)
  const taker = new Taker(50)
  const consumer = consume(rig.vhost, 'q', taker, wanting('a'))
  for (let n = 0; n < 100; n++) publish(rig.vhost, 'amq.topic', n % 2 === 0 ? 'a' : 'b', `${n}`)
  await turns(5)
  assert.equal(taker.got.length, 50)
  for (const { offset } of taker.got.toReversed()) queue.release(offset)
  taker.got.length = 0
  taker.credit = 60
  consumer.resume()
  await turns(5)
  assert.deepEqual(
    taker.bodies.map(Number),
    Array.from({ length: 50 }, (_, at) => 2 * at),
  )
  assert.ok(taker.got.every(({ redelivered }) => redelivered))
  await rig.broker.close()
})
