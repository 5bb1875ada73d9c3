import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
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

const DELAY_MS = 100
const ATTEMPTS_MAX = 3

interface Expected {
  attempts: number
  notBeforeMs: number
}

const action = fc.oneof(
  fc.record({ kind: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant('take' as const), fates: fc.array(fc.nat(3), { minLength: 8 }) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 250 }) }),
  fc.record({ kind: fc.constant('restart' as const) }),
)

/** Takes all that is ready and gives each its fate; then the model must hold the same. */
async function takeAll(
  rig: BrokerRig,
  model: Map<string, Expected>,
  fateOf: (index: number) => number,
): Promise<void> {
  const now = rig.clock.now()
  const taker = new Taker()
  const consumer = consume(rig.vhost, 'q', taker)
  await turns()
  consumer.cancel()
  const ready = [...model].filter(([, { notBeforeMs }]) => notBeforeMs <= now)
  assert.deepEqual(
    taker.got.map(({ body, attempts }) => [body, attempts]),
    ready.map(([body, { attempts }]) => [body, attempts]),
  )
  const queue = rig.vhost.destination('q')!
  for (const [index, { body, offset }] of taker.got.entries()) {
    const fate = fateOf(index)
    const expected = model.get(body)!
    if (fate === 0) {
      queue.accept(offset)
      model.delete(body)
    } else if (fate === 1) queue.release(offset)
    else {
      queue.fail(offset)
      expected.attempts++
      expected.notBeforeMs = now + DELAY_MS * expected.attempts
      if (expected.attempts > ATTEMPTS_MAX) model.delete(body)
    }
  }
  await turns()
  const held = [...model.values()].filter(({ notBeforeMs }) => notBeforeMs > now).length
  assert.deepEqual([queue.readyCount, queue.heldCount], [model.size - held, held])
}

// Messages may fail, come back and end in any order, while time passes and the broker restarts.
test('a queue that retries holds what its model holds', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
      let rig = await openBroker()
      const retry = { retryDelayMs: DELAY_MS, retryBackoff: 'linear' } as const
      await rig.vhost.declareQueue(queueSpec('q', { ...retry, attemptsMax: ATTEMPTS_MAX }))
      const model = new Map<string, Expected>()
      let sent = 0
      for (const step of actions) {
        if (step.kind === 'publish') {
          for (let left = step.count; left > 0; left--) {
            const body = `m${sent++}`
            publish(rig.vhost, '', 'q', body)
            model.set(body, { attempts: 0, notBeforeMs: 0 })
          }
        } else if (step.kind === 'wait') rig.clock.advance(step.ms)
        else if (step.kind === 'restart') rig = await reopenBroker(rig)
        else await takeAll(rig, model, (index) => step.fates[index % step.fates.length]!)
        await turns(4)
      }
      await takeAll(rig, model, () => 1)
      assert.deepEqual(rig.broker.checkSpace(), [])
      await rig.broker.close()
    }),
    { numRuns: 40 },
  )
})
