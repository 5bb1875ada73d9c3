import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Consumer } from './consumer.ts'
import { ConsumerSet } from './consumer-set.ts'
import type { Destination } from './destination.ts'

const DESTINATION = { vhost: { now: () => 0 } } as unknown as Destination
const SINK = { deliver: () => {}, cancelled: () => {} }

/** A consumer of a set, able to take messages from the start. */
function join(set: ConsumerSet, tag: string, priority = 0): Consumer {
  const home = {
    consumerReady: (consumer: Consumer) => set.wake(consumer),
    removeConsumer: (consumer: Consumer) => void set.remove(consumer),
  }
  const consumer = new Consumer(DESTINATION, home, {
    sink: SINK,
    tag,
    noAck: false,
    exclusive: false,
    priority,
    owner: SINK,
    arguments: new Map(),
  })
  set.add(consumer)
  consumer.resume()
  return consumer
}

function served(set: ConsumerSet, count: number): string {
  return Array.from({ length: count }, () => set.next()?.tag ?? '-').join('')
}

test('among equals the turn goes round', () => {
  const set = new ConsumerSet(false)
  for (const tag of ['a', 'b', 'c']) join(set, tag)
  assert.equal(served(set, 7), 'abcabca')
})

test('a consumer that cannot take more is passed over until it can', () => {
  const set = new ConsumerSet(false)
  const a = join(set, 'a')
  join(set, 'b')
  a.pause()
  assert.equal(served(set, 3), 'bbb')
  a.resume()
  assert.deepEqual(new Set(served(set, 4)), new Set(['a', 'b']))
})

test('a higher priority is served alone while it can take more', () => {
  const set = new ConsumerSet(false)
  join(set, 'l', 0)
  const high = join(set, 'h', 5)
  assert.equal(served(set, 3), 'hhh')
  high.pause()
  assert.equal(served(set, 2), 'll')
})

test('nobody is served when all are paused or gone', () => {
  const set = new ConsumerSet(false)
  const a = join(set, 'a')
  const b = join(set, 'b')
  a.pause()
  b.cancel()
  assert.equal(set.next(), null)
  assert.equal(set.size, 1)
})

test('the active one is alone until it leaves; then the highest priority that joined first', () => {
  const set = new ConsumerSet(true)
  const a = join(set, 'a')
  join(set, 'b', 1)
  join(set, 'c', 1)
  assert.equal(served(set, 3), 'aaa')
  a.pause()
  assert.equal(set.next(), null)
  a.cancel()
  assert.equal(served(set, 2), 'bb')
})
