import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exchangeSpec, openBroker, publish, queueSpec } from '../../test/support/broker-rig.ts'
import type { InboxSink } from './inbox.ts'
import type { StoredMessage } from './stored-message.ts'

class Listener implements InboxSink {
  readonly bodies: string[] = []
  readonly records: Buffer[] = []

  deliverDirect(message: StoredMessage): void {
    this.bodies.push(message.data.toString('utf8', message.bodyStart, message.bodyEnd))
    this.records.push(message.data)
  }
}

test('a bound inbox is handed what its keys match, each message once', async () => {
  const { vhost } = await openBroker()
  const listener = new Listener()
  const inbox = vhost.openInbox('i', listener)
  const topic = vhost.exchange('amq.topic')!
  inbox.bind(topic, 'a.*')
  inbox.bind(topic, 'a.#')
  assert.equal(publish(vhost, 'amq.topic', 'a.b', '1'), 1)
  assert.equal(publish(vhost, 'amq.topic', 'b', '2'), 0)
  assert.equal(publish(vhost, '', 'i', '3'), 1)
  inbox.unbind(topic, 'a.#')
  assert.equal(publish(vhost, 'amq.topic', 'a.b.c', '4'), 0)
  inbox.close()
  assert.equal(publish(vhost, 'amq.topic', 'a.b', '5'), 0)
  assert.ok(topic.matcher.isEmpty)
  assert.deepEqual(listener.bodies, ['1', '3'])
})

test('a message is encoded once for all inboxes, and queues get it too', async () => {
  const { vhost } = await openBroker()
  await vhost.declareExchange(exchangeSpec('all', { type: 'fanout' }))
  await vhost.declareQueue(queueSpec('q'))
  const listener = new Listener()
  const all = vhost.exchange('all')!
  for (let n = 0; n < 1000; n++) vhost.openInbox(`i${n}`, listener).bind(all, '')
  all.matcher.add(vhost.destination('q')!, '')
  publish(vhost, 'all', '', 'x')
  assert.equal(listener.bodies.length, 1000)
  assert.equal(new Set(listener.records).size, 1)
  assert.equal(vhost.destination('q')!.readyCount, 1)
})

test('an inbox that another one closes meanwhile is handed nothing more', async () => {
  const { vhost } = await openBroker()
  const fanout = vhost.exchange('amq.fanout')!
  const second = new Listener()
  const closer: InboxSink = { deliverDirect: () => vhost.inbox('second')?.close() }
  vhost.openInbox('first', closer).bind(fanout, '')
  vhost.openInbox('second', second).bind(fanout, '')
  publish(vhost, 'amq.fanout', '', 'x')
  assert.deepEqual(second.bodies, [])
})
