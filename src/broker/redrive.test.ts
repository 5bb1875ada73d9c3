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
import type { Queue } from './queue.ts'
import type { RedriveOptions } from './redrive.ts'
import type { RedriveView } from './redrives.ts'

const ALL: RedriveOptions = {
  to: null,
  filter: {},
  dryRun: false,
  rate: Infinity,
  countMax: Infinity,
  edit: { set: new Map(), remove: [] },
  body: null,
}

/** A queue `work` whose rejected messages wait in `dead`: m0, m1 ... */
async function withDead(count: number, given: Parameters<typeof openBroker>[0] = {}) {
  const rig = await openBroker(given)
  const { vhost } = rig
  const settings = { deadLetterExchange: '', deadLetterRoutingKey: 'dead' }
  await vhost.declareQueue(queueSpec('work', settings))
  await vhost.declareQueue(queueSpec('dead'))
  for (let n = 0; n < count; n++) publish(vhost, '', 'work', `m${n}`)
  const taker = new Taker()
  const consumer = consume(vhost, 'work', taker)
  await turns()
  for (const { offset } of taker.got) vhost.destination('work')!.reject(offset)
  await turns(40)
  consumer.cancel()
  assert.equal(vhost.destination('dead')!.readyCount, count)
  return rig
}

function start({ broker, vhost }: BrokerRig, options: Partial<RedriveOptions>): RedriveView {
  return broker.redrives.start(vhost.destination('dead') as Queue, { ...ALL, ...options })
}

async function taken({ vhost }: BrokerRig, queue: string): Promise<Taker> {
  const taker = new Taker()
  const consumer = consume(vhost, queue, taker, { noAck: true })
  await turns(40)
  consumer.cancel()
  return taker
}

test('dead letters go back to where they died, in order, and keep their story', async () => {
  const rig = await withDead(1200)
  const { id } = start(rig, {})
  await turns()
  const view = rig.broker.redrives.get(id)!
  assert.deepEqual([view.state, view.waiting, view.moved, view.kept], ['done', 1200, 1200, 0])
  assert.equal(rig.vhost.destination('dead')!.readyCount, 0)
  const { got } = await taken(rig, 'work')
  assert.deepEqual(
    got.map(({ body }) => body),
    Array.from({ length: 1200 }, (_, n) => `m${n}`),
  )
  assert.deepEqual(got[0]!.deaths, ['work:rejected:1'])
})

test('a dry run moves nothing, a limit stops, and a filter picks', async () => {
  const rig = await withDead(10)
  const dry = start(rig, { dryRun: true, filter: { reason: 'rejected', diedIn: 'work' } })
  const other = start(rig, { filter: { reason: 'expired' } })
  await turns()
  assert.equal(rig.broker.redrives.get(dry.id)!.moved, 10)
  assert.deepEqual(rig.broker.redrives.get(other.id)!.moved, 0)
  assert.equal(rig.vhost.destination('dead')!.readyCount, 10)
  await rig.vhost.declareQueue(queueSpec('inspect'))
  start(rig, { to: { exchange: '', routingKey: 'inspect' }, countMax: 3 })
  await turns()
  assert.deepEqual((await taken(rig, 'inspect')).bodies, ['m0', 'm1', 'm2'])
  assert.equal(rig.vhost.destination('dead')!.readyCount, 7)
})

test('what nobody takes stays, and why is said', async () => {
  const rig = await withDead(3)
  await rig.vhost.declareQueue(queueSpec('full', { messagesMax: 1, overflow: 'reject' }))
  const { id } = start(rig, { to: { exchange: '', routingKey: 'full' } })
  const gone = start(rig, { to: { exchange: 'nowhere', routingKey: null } })
  await turns()
  const view = rig.broker.redrives.get(id)!
  assert.deepEqual([view.moved, view.kept], [1, 2])
  assert.match(view.problem!, /nobody takes 'full'/)
  assert.match(rig.broker.redrives.get(gone.id)!.problem!, /no exchange 'nowhere'/)
  assert.deepEqual((await taken(rig, 'dead')).bodies, ['m1', 'm2'])
})

test('what a full queue refuses goes on to its dead letters, or stays where none take it', async () => {
  const overflow = 'reject-dead-letter'
  for (const [settings, rest] of [
    [{}, []],
    [{ deadLetterExchange: '', deadLetterRoutingKey: 'nowhere' }, []],
    [{ deadLetterExchange: 'none' }, []],
    [{ deadLetterExchange: '', deadLetterRoutingKey: 'small' }, ['m1']],
    [{ deadLetterExchange: '', deadLetterRoutingKey: 'around' }, ['m1']],
    [{ deadLetterExchange: '', deadLetterRoutingKey: 'later' }, ['m1', 'm2', 'm3']],
  ] as const) {
    const rig = await withDead(4)
    const { vhost } = rig
    await vhost.declareQueue(queueSpec('full', { messagesMax: 1, overflow, ...settings }))
    await vhost.declareQueue(queueSpec('small', { messagesMax: 1, overflow: 'reject' }))
    const back = { deadLetterExchange: '', deadLetterRoutingKey: 'full' }
    await vhost.declareQueue(queueSpec('around', { messagesMax: 1, overflow, ...back }))
    await vhost.declareQueue(queueSpec('later'))
    const { id } = start(rig, { to: { exchange: '', routingKey: 'full' } })
    await turns()
    const { moved, kept } = rig.broker.redrives.get(id)!
    const name = settings.deadLetterRoutingKey
    const went = name === undefined || name === 'nowhere' ? [] : (await taken(rig, name)).bodies
    const all = [
      ...(await taken(rig, 'full')).bodies,
      ...went,
      ...(await taken(rig, 'dead')).bodies,
    ]
    assert.deepEqual(all, ['m0', 'm1', 'm2', 'm3'], `${name}`)
    assert.deepEqual([moved, kept, went], [1 + rest.length, 3 - rest.length, rest], `${name}`)
  }
})

test('what goes to a queue that is not stored is there, and with a restart gone and counted', async () => {
  const rig = await withDead(3)
  await rig.vhost.declareQueue(queueSpec('passing', {}, { durable: false }))
  const { id } = start(rig, { to: { exchange: '', routingKey: 'passing' }, countMax: 2 })
  await turns()
  assert.equal(rig.vhost.destination('passing')!.readyCount, 2)
  const { moved, state } = rig.broker.redrives.get(id)!
  const second = await reopenBroker(rig)
  assert.equal(second.vhost.destination('passing'), undefined)
  assert.deepEqual((await taken(second, 'dead')).bodies, ['m2'])
  const view = second.broker.redrives.get(id)!
  assert.deepEqual([moved, state, view.moved, view.state], [2, 'done', 2, 'done'])
})

test('a rate is held, and what is cancelled stops', async () => {
  const rig = await withDead(100)
  const { id } = start(rig, { rate: 20 })
  for (let tick = 0; tick < 20; tick++) {
    rig.clock.advance(50)
    await turns(4)
  }
  const { moved } = rig.broker.redrives.get(id)!
  assert.ok(moved >= 18 && moved <= 22, `${moved} in a second`)
  assert.ok(rig.broker.redrives.cancel(id))
  assert.ok(!rig.broker.redrives.cancel(id + 1))
  rig.clock.advance(1000)
  await turns()
  assert.equal(rig.vhost.destination('dead')!.readyCount, 100 - moved)
  assert.equal(rig.broker.redrives.list()[0]!.state, 'cancelled')
})

test('after a restart the same redrive goes on with what is left', async () => {
  const rig = await withDead(50)
  start(rig, { countMax: 20 })
  await turns()
  const second = await reopenBroker(rig)
  await turns()
  start(second, {})
  await turns()
  const { bodies } = await taken(second, 'work')
  assert.deepEqual(
    bodies,
    Array.from({ length: 50 }, (_, n) => `m${n}`),
  )
  assert.equal(second.vhost.destination('dead')!.readyCount, 0)
  assert.deepEqual(second.broker.checkSpace(), [])
})

test('a redrive goes on after a restart where it stood', async () => {
  const rig = await withDead(100)
  const { id } = start(rig, { rate: 20, countMax: 90, filter: { reason: 'rejected' } })
  const dry = start(rig, { dryRun: true, rate: 1 })
  for (let tick = 0; tick < 20; tick++) {
    rig.clock.advance(50)
    await turns(4)
  }
  const before = rig.broker.redrives.get(id)!
  assert.ok(before.moved >= 18, `${before.moved} in a second`)
  const second = await reopenBroker(rig)
  const found = second.broker.redrives.get(id)!
  assert.deepEqual(found, { ...before, state: 'interrupted' })
  assert.equal(second.broker.redrives.get(dry.id), null)
  second.broker.redrives.goOn()
  for (let tick = 0; tick < 120; tick++) {
    second.clock.advance(50)
    await turns(4)
  }
  const { state, moved, looked } = second.broker.redrives.get(id)!
  assert.deepEqual([state, moved, looked], ['done', 90, 90])
  assert.deepEqual(
    (await taken(second, 'work')).bodies,
    Array.from({ length: 90 }, (_, n) => `m${n}`),
  )
  // Ids go on, and how it ended is known after another restart.
  const third = await reopenBroker(second)
  assert.equal(third.broker.redrives.get(id)!.state, 'done')
  third.broker.redrives.goOn()
  await turns()
  assert.equal(third.vhost.destination('dead')!.readyCount, 10)
  assert.ok(start(third, {}).id > id)
})

test('what was cancelled is resumed, what is done or has no queue is not', async () => {
  const rig = await withDead(100)
  const { redrives } = rig.broker
  const { id } = start(rig, { rate: 20 })
  await turns(4)
  redrives.cancel(id)
  const { moved } = redrives.get(id)!
  assert.equal(redrives.resume(id).state, 'running')
  assert.throws(() => redrives.resume(id), /is running/)
  rig.clock.advance(1000)
  await turns()
  assert.ok(redrives.get(id)!.moved > moved)
  redrives.cancel(id)
  assert.throws(() => redrives.resume(id + 1), /no redrive/)
  await rig.vhost.deleteDestination('dead', { ifUnused: false, ifEmpty: false })
  await rig.vhost.declareQueue(queueSpec('dead'))
  assert.throws(() => redrives.resume(id), /is not there any more/)
  const second = await reopenBroker(rig)
  second.broker.redrives.goOn()
  assert.equal(second.broker.redrives.get(id)!.state, 'cancelled')
})

test('a queue that goes takes its redrive with it', async () => {
  const rig = await withDead(100)
  const { id } = start(rig, { rate: 1 })
  await turns()
  await rig.vhost.deleteDestination('dead', { ifUnused: false, ifEmpty: false })
  rig.clock.advance(5000)
  await turns()
  assert.equal(rig.broker.redrives.get(id)!.state, 'failed')
})
