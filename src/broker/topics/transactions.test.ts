import assert from 'node:assert/strict'
import { test } from 'node:test'
import { turns } from '../../../test/support/broker-rig.ts'
import { StateWorld } from '../../../test/support/state-world.ts'
import type { TransactionEnd } from '../../model/native-form.ts'
import { Subscriptions } from './subscriptions.ts'
import { EPOCH_MAX, type ProducerIdentity } from './transaction.ts'
import { type ProducerOutcome, Transactions } from './transactions.ts'

const FORM = 9
const TIMEOUT_MS = 60_000
const HOUR_MS = 3_600_000
const GONE = 66

interface Rig {
  readonly world: StateWorld
  readonly subscriptions: Subscriptions
  readonly transactions: Transactions
  /** `topic/partition producer:epoch commit` of each marker. */
  readonly markers: string[]
}

async function openRig(world: StateWorld): Promise<Rig> {
  const markers: string[] = []
  const subscriptions = new Subscriptions(1, world)
  const transactions = new Transactions(1, {
    state: world.state,
    cycle: world.cycle,
    timers: world.timers,
    limits: world.limits,
    log: { info: () => {}, warn: () => {}, error: () => {} },
    now: () => world.now(),
    subscriptions,
    hasForm: () => true,
    openInPartitions: () => [],
    partition: ({ topicId, partition }) => {
      if (topicId === GONE) return undefined
      return {
        endTransaction: ({ producerId, producerEpoch, isCommit }: TransactionEnd, form: number) => {
          assert.equal(form, FORM)
          const what = isCommit ? 'commit' : 'abort'
          markers.push(`${topicId}/${partition} ${producerId}:${producerEpoch} ${what}`)
          return 0
        },
      }
    },
  })
  subscriptions.restore(() => true)
  transactions.restore()
  return { world, subscriptions, transactions, markers }
}

async function open(limits: StateWorld['limits'] | object = {}): Promise<Rig> {
  return openRig(await StateWorld.open({ limits }))
}

async function reopen({ world }: Rig): Promise<Rig> {
  await turns(5)
  await world.close()
  return openRig(await StateWorld.open({ disk: world.disk, clock: world.clock }))
}

function init({ transactions }: Rig, name: string, expected: ProducerIdentity | null = null) {
  return transactions.init(name, { timeoutMs: TIMEOUT_MS, form: FORM, expected })
}

function place(topicId: number, partition = 0): { topicId: number; partition: number } {
  return { topicId, partition }
}

/** `result producer:epoch`. */
function text({ result, producerId, producerEpoch }: ProducerOutcome): string {
  return result === 'ok' ? `${producerId}:${producerEpoch}` : result
}

/** Goes on with the highest epoch there is. */
function exhaust(rig: Rig, name: string): ProducerOutcome {
  let producer = init(rig, name)
  while (producer.producerEpoch < EPOCH_MAX) producer = init(rig, name)
  return producer
}

test('a transaction is ended in each partition once, with its positions', async () => {
  const rig = await open()
  const { transactions, subscriptions, markers } = rig
  const producer = init(rig, 'tx')
  assert.equal(text(producer), '0:0')
  assert.equal(transactions.addPartitions('tx', producer, [place(1), place(2, 5)]), 'ok')
  assert.equal(transactions.addPartitions('tx', producer, [place(1)]), 'ok')
  assert.equal(transactions.checkPartition('tx', producer, place(2, 5)), 'ok')
  assert.equal(transactions.checkPartition('tx', producer, place(2, 6)), 'not-added')
  const positions = [{ ...place(3), offset: 7, metadata: 'm' }]
  assert.equal(
    transactions.commitPositions('tx', producer, { subscription: 'g/1', positions }),
    'not-added',
  )
  assert.equal(transactions.addSubscription('tx', producer, 'g/1'), 'ok')
  const given = { subscription: 'g/1', positions: [{ ...place(GONE), offset: 1 }, ...positions] }
  assert.equal(transactions.commitPositions('tx', producer, given), 'ok')
  assert.equal(transactions.isPending({ ...place(3), subscription: 'g/1' }), true)
  assert.equal(transactions.isPending({ ...place(3, 1), subscription: 'g/1' }), false)
  assert.equal(subscriptions.find('g/1'), undefined)
  assert.equal(transactions.find('tx')?.state, 'ongoing')

  assert.equal(text(transactions.end('tx', producer, { isCommit: true })), '0:0')
  assert.deepEqual(markers, ['1/0 0:0 commit', '2/5 0:0 commit'])
  assert.equal(subscriptions.position('g/1', 3, 0)?.offset, 7)
  assert.equal(subscriptions.position('g/1', 3, 0)?.metadata, 'm')
  assert.equal(subscriptions.position('g/1', GONE, 0), undefined)
  assert.equal(transactions.isPending({ ...place(3), subscription: 'g/1' }), false)
  assert.deepEqual([...rig.world.state.entries('pending-position/')], [])

  assert.equal(text(transactions.end('tx', producer, { isCommit: true })), '0:0', 'told again')
  assert.equal(text(transactions.end('tx', producer, { isCommit: false })), 'invalid-state')
  assert.equal(transactions.checkPartition('tx', producer, place(1)), 'not-added')
  assert.equal(markers.length, 2)
})

test('what is aborted leaves no position', async () => {
  const rig = await open()
  const producer = init(rig, 'tx')
  const { transactions, subscriptions, markers } = rig
  assert.equal(text(transactions.end('tx', producer, { isCommit: false })), 'invalid-state')
  transactions.addPartitions('tx', producer, [place(1)])
  const positions = [{ ...place(3), offset: 7 }]
  transactions.commitPositions('tx', producer, { subscription: 'g', positions, adds: true })
  assert.equal(text(transactions.end('tx', producer, { isCommit: false })), '0:0')
  assert.deepEqual(markers, ['1/0 0:0 abort'])
  assert.equal(subscriptions.find('g'), undefined)
  assert.equal(transactions.find('tx')?.state, 'aborted')
})

test('a newer producer fences the older ones and aborts what they began', async () => {
  const rig = await open()
  const { transactions, markers } = rig
  const first = init(rig, 'tx')
  const second = init(rig, 'tx')
  assert.equal(text(second), '0:1')
  for (const result of [
    transactions.addPartitions('tx', first, [place(1)]),
    transactions.checkPartition('tx', first, place(1)),
    transactions.addSubscription('tx', first, 'g'),
    transactions.commitPositions('tx', first, { subscription: 'g', positions: [], adds: true }),
    transactions.end('tx', first, { isCommit: true }).result,
    transactions.end('tx', first, { isCommit: true, bumps: true }).result,
  ]) {
    assert.equal(result, 'fenced')
  }
  transactions.addPartitions('tx', second, [place(1)])
  const third = init(rig, 'tx')
  assert.equal(text(third), '0:2')
  assert.deepEqual(markers, ['1/0 0:2 abort'])
  assert.equal(transactions.find('tx')?.state, 'empty')
  const stranger = { producerId: 99, producerEpoch: 2 }
  assert.equal(transactions.addPartitions('tx', stranger, [place(1)]), 'unknown-producer')
  assert.equal(transactions.addPartitions('other', third, [place(1)]), 'unknown-producer')
  assert.equal(text(transactions.end('other', third, { isCommit: true })), 'unknown-producer')
})

test('a producer that says who it was goes on, if nobody came in between', async () => {
  const rig = await open()
  const first = init(rig, 'tx')
  const second = init(rig, 'tx', first)
  assert.equal(text(second), '0:1')
  assert.equal(text(init(rig, 'tx', first)), '0:1', 'asked again, the answer was lost')
  assert.equal(text(init(rig, 'tx', second)), '0:2')
  assert.equal(text(init(rig, 'tx', first)), 'fenced')
  assert.equal(text(init(rig, 'tx', { producerId: 5, producerEpoch: 2 })), 'fenced')
  assert.equal(text(init(rig, 'tx')), '0:3')
  assert.equal(text(init(rig, 'tx', { producerId: 0, producerEpoch: 2 })), 'fenced')
  assert.equal(text(init(rig, 'new', first)), '1:0', 'what it was has expired')
})

test('an older producer that asks for an epoch does not abort what a newer one does', async () => {
  const rig = await open()
  const first = init(rig, 'tx')
  const second = init(rig, 'tx', first)
  rig.transactions.addPartitions('tx', second, [place(1)])
  assert.equal(text(init(rig, 'tx', first)), 'fenced')
  assert.deepEqual(rig.markers, [])
  const third = init(rig, 'tx', second)
  assert.equal(text(third), '0:2')
  assert.deepEqual(rig.markers, ['1/0 0:2 abort'])
  assert.equal(text(init(rig, 'tx', second)), '0:2')
})

test('when epochs are used up there is another producer id', async () => {
  const rig = await open()
  const last = exhaust(rig, 'tx')
  assert.equal(text(last), `0:${EPOCH_MAX}`)
  assert.equal(text(init(rig, 'tx', last)), '1:0')
  assert.equal(text(init(rig, 'tx', last)), '1:0', 'asked again')
  assert.equal(rig.transactions.addPartitions('tx', last, [place(1)]), 'unknown-producer')
  // The last epoch with a transaction open: it is aborted with one that nobody ever gets.
  const other = exhaust(rig, 'other')
  rig.transactions.addPartitions('other', other, [place(1)])
  const { producerId } = other
  assert.equal(text(init(rig, 'other', other)), `${producerId + 1}:0`)
  assert.deepEqual(rig.markers, [`1/0 ${producerId}:32767 abort`])
  assert.equal(text(init(rig, 'other', other)), `${producerId + 1}:0`)
})

test('a producer may have its epoch raised with each end', async () => {
  const rig = await open()
  const { transactions, markers } = rig
  const first = init(rig, 'tx')
  const commit = { isCommit: true, bumps: true }
  const abort = { isCommit: false, bumps: true }
  assert.equal(text(transactions.end('tx', first, commit)), 'invalid-state')
  const second = transactions.end('tx', first, abort)
  assert.equal(text(second), '0:1', 'nothing was added, and yet it may abort')
  assert.equal(text(transactions.end('tx', first, abort)), '0:1', 'told again')
  assert.equal(text(transactions.end('tx', first, commit)), 'invalid-state')
  assert.equal(text(transactions.end('tx', second, commit)), 'invalid-state')
  transactions.addPartitions('tx', second, [place(1)])
  assert.equal(text(transactions.end('tx', first, abort)), 'fenced')
  const third = transactions.end('tx', second, commit)
  assert.equal(text(third), '0:2')
  assert.deepEqual(markers, ['1/0 0:2 commit'])
  assert.equal(text(transactions.end('tx', second, commit)), '0:2', 'told again')
  assert.equal(text(transactions.end('tx', second, abort)), 'invalid-state')
  assert.equal(text(transactions.end('tx', third, abort)), '0:3')
  const last = exhaust(rig, 'other')
  transactions.addPartitions('other', last, [place(2)])
  assert.equal(text(transactions.end('other', last, commit)), '2:0')
  assert.equal(markers.at(-1), '2/0 1:32767 commit')
  assert.equal(text(transactions.end('other', last, commit)), '2:0', 'told again')
  assert.equal(text(transactions.end('other', last, abort)), 'invalid-state')
})

test('a transaction that takes too long is aborted, and its producer fenced', async () => {
  const first = await open()
  const producer = init(first, 'tx')
  first.transactions.addPartitions('tx', producer, [place(1)])
  first.world.clock.advance(TIMEOUT_MS - 1)
  // Going on does not make it younger, nor does a restart.
  first.transactions.addPartitions('tx', producer, [place(2)])
  const rig = await reopen(first)
  assert.deepEqual(rig.markers, [])
  rig.world.clock.advance(1)
  assert.deepEqual(rig.markers, ['1/0 0:1 abort', '2/0 0:1 abort'])
  assert.equal(rig.transactions.addPartitions('tx', producer, [place(1)]), 'fenced')
  assert.equal(text(init(rig, 'tx', producer)), 'fenced')
  const next = init(rig, 'tx')
  assert.equal(text(next), '0:2')
  rig.transactions.addPartitions('tx', next, [place(1)])
  rig.transactions.end('tx', next, { isCommit: true })
  rig.world.clock.advance(2 * TIMEOUT_MS)
  assert.equal(rig.transactions.find('tx')?.state, 'committed')
})

test('a restart goes on where it was, and gives no producer id twice', async () => {
  const first = await open()
  const producer = init(first, 'tx/1')
  assert.equal(first.transactions.newProducerId(), 1)
  const at = [place(1), place(2, 3)]
  first.transactions.addPartitions('tx/1', producer, at)
  const positions = [{ ...place(3, 4), offset: 7, leaderEpoch: 2, metadata: 'm' }]
  const given = { subscription: 'g/ö', positions, adds: true }
  first.transactions.commitPositions('tx/1', producer, given)
  const second = await reopen(first)
  assert.ok(second.transactions.newProducerId() > 1)
  assert.equal(second.transactions.isPending({ ...place(3, 4), subscription: 'g/ö' }), true)
  assert.deepEqual([...second.transactions.find('tx/1')!.partitions.values()], at)
  assert.equal(text(second.transactions.end('tx/1', producer, { isCommit: true })), '0:0')
  assert.deepEqual(second.markers, ['1/0 0:0 commit', '2/3 0:0 commit'])
  const third = await reopen(second)
  assert.equal(third.subscriptions.position('g/ö', 3, 4)?.offset, 7)
  assert.equal(third.subscriptions.position('g/ö', 3, 4)?.leaderEpoch, 2)
  assert.equal(third.transactions.isPending({ ...place(3, 4), subscription: 'g/ö' }), false)
  assert.equal(text(third.transactions.end('tx/1', producer, { isCommit: true })), '0:0')
  assert.deepEqual(third.markers, [])
  third.transactions.dispose()
  third.subscriptions.dispose()
  assert.equal(third.world.state.count, 0)
})

test('ids that nobody uses are forgotten after seven days', async () => {
  const rig = await open({ transactionTimeoutMsMax: 30 * 24 * HOUR_MS })
  const timeoutMs = 20 * 24 * HOUR_MS
  init(rig, 'idle')
  const busy = rig.transactions.init('busy', { timeoutMs, form: FORM })
  rig.transactions.addPartitions('busy', busy, [place(1)])
  for (let hour = 0; hour < 7 * 24 - 1; hour++) rig.world.clock.advance(HOUR_MS)
  assert.notEqual(rig.transactions.find('idle'), undefined)
  for (let hour = 0; hour < 2; hour++) rig.world.clock.advance(HOUR_MS)
  assert.equal(rig.transactions.find('idle'), undefined)
  assert.equal(rig.transactions.find('busy')?.state, 'ongoing')
  assert.deepEqual(
    Array.from(rig.world.state.entries('transaction/'), ([key]) => key),
    ['transaction/1/busy'],
  )
})

test('limits are kept', async () => {
  const rig = await open({ transactionalIdCountMax: 1, positionCountMax: 2 })
  for (const timeoutMs of [0, -1, 900_001, NaN]) {
    const outcome = rig.transactions.init('tx', { timeoutMs, form: FORM })
    assert.equal(outcome.result, 'invalid-timeout')
  }
  const producer = init(rig, 'tx')
  assert.equal(text(init(rig, 'other')), 'limit-exceeded')
  assert.equal(text(init(rig, 'tx', producer)), '0:1')
  const commit = (...partitions: number[]): string => {
    const positions = partitions.map((partition) => ({ ...place(1, partition), offset: 1 }))
    const given = { subscription: 'g', positions, adds: true }
    return rig.transactions.commitPositions('tx', { producerId: 0, producerEpoch: 1 }, given)
  }
  rig.subscriptions.commit('g', [{ ...place(1, 9), offset: 1 }])
  assert.equal(commit(0), 'ok')
  assert.throws(() => commit(1), { code: 'LIMIT_EXCEEDED' })
})
