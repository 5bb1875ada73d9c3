import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  bindingSpec,
  consume,
  openBroker,
  publish,
  queueSpec,
  reopenBroker,
  Taker,
  turns,
} from '../../test/support/broker-rig.ts'
import { FailureTexts } from './failure-texts.ts'
import type { Annotations, Consumer, DeliverySink, StoredMessage } from './index.ts'

test('the first text stays, the last one changes, and long ones are cut between characters', () => {
  const texts = new FailureTexts(2)
  assert.deepEqual(texts.add(1, 'one'), { first: 'one', last: 'one' })
  assert.deepEqual(texts.add(1, 'two'), { first: 'one', last: 'two' })
  const { last } = texts.add(2, 'é'.repeat(300))!
  assert.equal(last, `${'é'.repeat(126)}…`)
  assert.equal(texts.add(3, 'no room'), null)
  assert.deepEqual(texts.add(1, 'three'), { first: 'one', last: 'three' })
  texts.delete(2)
  assert.ok(texts.add(3, 'room'))
})

class Reader implements DeliverySink {
  readonly annotations: (Annotations | null)[] = []

  deliver(_consumer: Consumer, message: StoredMessage): void {
    this.annotations.push(message.annotations)
  }

  cancelled(): void {}
}

// Once from the records alone, once from a snapshot.
for (const replayBytesMax of [64 * 1024 * 1024, 1]) {
  test(`what was said of failures is there after a restart (${replayBytesMax})`, async () => {
    let rig = await openBroker()
    const dead = { deadLetterExchange: 'amq.direct', deadLetterRoutingKey: 'd' }
    await rig.vhost.declareQueue(queueSpec('dead'))
    await rig.vhost.bind(bindingSpec('amq.direct', 'dead', { key: 'd' }))
    await rig.vhost.declareQueue(queueSpec('q', { retryDelayMs: 10, attemptsMax: 1, ...dead }))
    publish(rig.vhost, '', 'q', 'a')
    const fail = async (text?: string): Promise<void> => {
      const taker = new Taker()
      const consumer = consume(rig.vhost, 'q', taker)
      await turns()
      rig.vhost.destination('q')!.fail(taker.got[0]!.offset, text)
      consumer.cancel()
      await turns()
    }
    await fail('the first')
    rig = await reopenBroker(rig, { replayBytesMax })
    rig = await reopenBroker(rig, { replayBytesMax })
    rig.clock.advance(10)
    await turns()
    await fail('the last')
    const reader = new Reader()
    consume(rig.vhost, 'dead', reader)
    await turns()
    const [annotations] = reader.annotations
    assert.equal(annotations?.firstDeath?.error, 'the first')
    assert.equal(annotations?.lastDeath?.error, 'the last')
    assert.deepEqual(rig.broker.checkSpace(), [])
    await rig.broker.close()
  })
}
