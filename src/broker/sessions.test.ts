import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBroker, queueSpec } from '../../test/support/broker-rig.ts'

test('who takes a session that ends with its owner finds nothing of it, and keeps what is his', async () => {
  const { broker, vhost } = await openBroker()
  const { sessions } = vhost
  const names = ['s.waiting', 's.ids']
  const spec = { name: 's', user: 'ann', durable: true, destinations: names }
  const declareAll = async (): Promise<void> => {
    for (const name of names) await vhost.declareQueue({ ...queueSpec(name), durable: true })
  }
  const claim = { spec, fresh: false, expiryMs: 0, state: null }
  const first = {
    sessionTaken: () => sessions.release(taken.session, first),
  }
  const taken = await sessions.claim(first, claim)
  await declareAll()
  const before = names.map((name) => vhost.destination(name))

  const { isResumed } = await sessions.claim({ sessionTaken: () => {} }, claim)
  assert.equal(isResumed, false)
  assert.deepEqual(
    names.map((name) => vhost.destination(name)),
    [undefined, undefined],
  )
  await declareAll()
  const after = names.map((name) => vhost.destination(name)!)
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  for (const [at, queue] of after.entries()) {
    assert.notEqual(queue, before[at])
    assert.equal(vhost.destination(queue.name), queue)
  }
  await broker.close()
})
