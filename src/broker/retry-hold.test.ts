import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type BrokerRig,
  consume,
  openBroker,
  publish,
  queueSpec,
  reopenBroker,
  Taker,
  turns,
} from '../../test/support/broker-rig.ts'

/** Takes all that is ready and fails those whose body is named; returns the bodies. */
async function failing({ vhost }: BrokerRig, ...bodies: string[]): Promise<string[]> {
  const taker = new Taker()
  const consumer = consume(vhost, 'q', taker)
  await turns()
  consumer.cancel()
  const queue = vhost.destination('q')!
  for (const { body, offset } of taker.got) {
    if (bodies.includes(body)) queue.fail(offset)
    else queue.release(offset)
  }
  await turns()
  return taker.bodies
}

test('a failed message waits for its time, in its place, and the others go on', async () => {
  const rig = await openBroker()
  const { vhost, clock } = rig
  await vhost.declareQueue(queueSpec('q', { retryDelayMs: 100, retryBackoff: 'exponential' }))
  for (const body of ['a', 'b', 'c']) publish(vhost, '', 'q', body)
  const queue = vhost.destination('q')!
  assert.deepEqual(await failing(rig, 'b'), ['a', 'b', 'c'])
  assert.deepEqual([queue.readyCount, queue.unsettledCount, queue.heldCount], [2, 0, 1])
  clock.advance(99)
  await turns()
  assert.deepEqual(await failing(rig), ['a', 'c'])
  clock.advance(1)
  await turns()
  assert.deepEqual(await failing(rig, 'b'), ['a', 'b', 'c'])
  clock.advance(199)
  await turns()
  assert.deepEqual(await failing(rig), ['a', 'c'])
  clock.advance(1)
  await turns()
  const taker = new Taker()
  consume(vhost, 'q', taker)
  await turns()
  assert.deepEqual(
    taker.got.map(({ body, attempts }) => [body, attempts]),
    [
      ['a', 0],
      ['b', 2],
      ['c', 0],
    ],
  )
})

for (const [how, limits] of [
  ['records', undefined],
  ['a snapshot', { replayBytesMax: 1, snapshotPieceBytes: 64 }],
] as const) {
  test(`what is held back is held back after a restart from ${how}`, async () => {
    const size = { extentBytes: 2048, transientExtentBytes: 2048, readAheadBytes: 512 }
    const small = { ...size, entryBytes: 512, deadBytesMax: 1 << 20 }
    const first = await openBroker(limits === undefined ? {} : { limits: { ...small, ...limits } })
    const { vhost, clock } = first
    await vhost.declareQueue(queueSpec('q', { retryLadderMs: [500, 9000] }))
    for (let n = 0; n < 20; n++) publish(vhost, '', 'q', `m${n}`)
    await failing(first, 'm3', 'm4', 'm7')
    clock.advance(500)
    await turns()
    await failing(first, 'm4')
    const second = await reopenBroker(first)
    await turns()
    const queue = second.vhost.destination('q')!
    assert.deepEqual([queue.readyCount, queue.heldCount], [19, 1])
    assert.ok(!(await failing(second)).includes('m4'))
    second.clock.advance(9000)
    await turns()
    const taker = new Taker()
    consume(second.vhost, 'q', taker)
    await turns()
    assert.deepEqual(
      taker.bodies,
      Array.from({ length: 20 }, (_, n) => `m${n}`),
    )
    assert.deepEqual(
      taker.got
        .filter(({ attempts }) => attempts > 0)
        .map(({ body, attempts }) => [body, attempts]),
      [
        ['m3', 1],
        ['m4', 2],
        ['m7', 1],
      ],
    )
  })
}

test('beyond its attempts a message goes to the dead letters', async () => {
  const rig = await openBroker()
  const { vhost, clock } = rig
  const settings = { retryDelayMs: 10, attemptsMax: 1, deadLetterExchange: '' }
  await vhost.declareQueue(queueSpec('q', { ...settings, deadLetterRoutingKey: 'dead' }))
  await vhost.declareQueue(queueSpec('dead'))
  publish(vhost, '', 'q', 'x')
  await failing(rig, 'x')
  clock.advance(10)
  await turns()
  await failing(rig, 'x')
  const taker = new Taker()
  consume(vhost, 'dead', taker)
  await turns()
  assert.deepEqual(taker.got[0]?.deaths, ['q:delivery_limit:1'])
  assert.equal(vhost.destination('q')!.heldCount, 0)
})

test('a purge takes what is held back, and a deleted queue leaves no timer', async () => {
  const rig = await openBroker()
  const { vhost, clock } = rig
  await vhost.declareQueue(queueSpec('q', { retryDelayMs: 10 }))
  for (const body of ['a', 'b', 'c']) publish(vhost, '', 'q', body)
  await failing(rig, 'a', 'b')
  const queue = vhost.destination('q')!
  assert.equal(queue.purge(), 3)
  assert.deepEqual([queue.readyCount, queue.unsettledCount, queue.heldCount], [0, 0, 0])
  clock.advance(20)
  await turns()
  assert.equal(queue.readyCount, 0)
  publish(vhost, '', 'q', 'd')
  await failing(rig, 'd')
  const timers = vhost.timers.size
  await vhost.deleteDestination('q', { ifUnused: false, ifEmpty: false })
  assert.equal(vhost.timers.size, timers - 1)
})

test('settings may change while messages are held back: those keep their time', async () => {
  const rig = await openBroker()
  const { vhost, clock } = rig
  await vhost.declareQueue(queueSpec('q'))
  const policy = { name: 'p', pattern: '^q$', appliesTo: 'all', priority: 0 } as const
  await vhost.setPolicy({ ...policy, settings: { retryDelayMs: 100 } })
  publish(vhost, '', 'q', 'a')
  await failing(rig, 'a')
  await vhost.deletePolicy('p')
  assert.deepEqual(await failing(rig), [])
  clock.advance(100)
  await turns()
  assert.deepEqual(await failing(rig, 'a'), ['a'])
  assert.equal(vhost.destination('q')!.readyCount, 1)
})
