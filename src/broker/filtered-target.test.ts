import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  bindingSpec,
  exchangeSpec,
  openBroker,
  publish,
  queueSpec,
  reopenBroker,
} from '../../test/support/broker-rig.ts'

test('a route is kept unless its key has a filter, and a filter outlives a restart', async () => {
  const first = await openBroker()
  const filtered = { arguments: new Map([['x-filter-sql', "p.subject LIKE 'a%'"]]) }
  await first.vhost.declareExchange(exchangeSpec('x', { type: 'topic' }))
  await first.vhost.declareQueue(queueSpec('q'))
  await first.vhost.declareQueue(queueSpec('plain'))
  await first.vhost.bind(bindingSpec('x', 'q', { key: 'a.#', ...filtered }))
  await first.vhost.bind(bindingSpec('x', 'q', { key: 'b.#', ...filtered }))
  await first.vhost.bind(bindingSpec('x', 'plain', { key: 'c' }))
  const { vhost } = await reopenBroker(first)
  const exchange = vhost.exchange('x')!
  const isKept = (key: string): boolean => vhost.route(exchange, key).cacheable
  assert.deepEqual([isKept('a.1'), isKept('c'), isKept('nobody')], [false, true, true])
  for (const key of ['a.1', 'b.1', 'c']) publish(vhost, 'x', key, key)
  assert.equal(vhost.destination('q')!.readyCount, 1)
  assert.equal(vhost.destination('plain')!.readyCount, 1)
  for (const key of ['a.#', 'b.#']) {
    await vhost.unbind(bindingSpec('x', 'q', { key, ...filtered }))
  }
  assert.equal(isKept('a.1'), true)
  assert.equal(publish(vhost, 'x', 'a.1', 'gone'), 0)
})

test('a binding whose filter cannot be read is not made', async () => {
  const { vhost } = await openBroker()
  await vhost.declareQueue(queueSpec('q'))
  const wrong = { arguments: new Map([['x-filter-sql', 'a >']]) }
  await assert.rejects(vhost.bind(bindingSpec('amq.topic', 'q', { key: 'k', ...wrong })), {
    code: 'PRECONDITION_FAILED',
  })
  assert.equal([...vhost.bindings()].length, 0)
  assert.equal(publish(vhost, 'amq.topic', 'k', 'x'), 0)
})
