import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  consume,
  openBroker,
  publish,
  queueSpec,
  Taker,
  turns,
} from '../../../test/support/broker-rig.ts'
import { SeededRandom } from '../../lib/random.ts'
import { encodedHeader } from '../../protocols/amqp091/foreign-header.ts'
import { AMQP091_FORM } from '../../protocols/amqp091/mapping.ts'
import { RpcCore } from '../core.ts'
import { Metadata } from '../metadata.ts'
import { DURABLE, type DurableAsk } from './durable-metadata.ts'
import { DurableHosts } from './durable-host.ts'

const CALLS = 60

test('a call is found where its message is, whatever else its turn stores', async () => {
  // So few bytes that records which are no messages fill many an entry.
  const rig = await openBroker({ limits: { entryBytes: 2048 } })
  const { broker, vhost, clock } = rig
  broker.registerForm({ ...AMQP091_FORM, encoded: encodedHeader })
  const hosts = new DurableHosts({ broker })
  const core = new RpcCore({ clock, random: new SeededRandom(1), durable: hosts.open })
  const { relay } = core.host('/')
  const ask = (what: DurableAsk, key: string): string[] => {
    const heard: string[] = []
    const request = relay.open(
      {
        path: '/shop.v1.Orders/Do',
        metadata: Metadata.fromFlat([DURABLE.ASK, what, DURABLE.KEY, key]),
        deadlineMs: clock.monotonicMs() + 1000,
        contentType: 'proto',
        isOneWay: false,
      },
      {
        head: (metadata) => heard.push(metadata.get(DURABLE.STATE) ?? ''),
        reply: () => {},
        status: ({ code }) => heard.push(code),
        creditRequests: () => {},
      },
    )
    request.message(Buffer.from('x'), true)
    return heard
  }
  await vhost.declareQueue(queueSpec('failing', {}, { countsAttempts: true }))
  const taker = new Taker()
  consume(vhost, 'failing', taker)
  for (let count = 0; count < CALLS; count++) publish(vhost, '', 'failing', 'x')
  ask('accept', 'first')
  await turns()
  for (let count = 1; count < CALLS; count++) {
    for (const { offset } of taker.got.splice(0, count)) vhost.destination('failing')!.fail(offset)
    ask('accept', `c${count}`)
    await turns()
    const heard = ask('state', `c${count}`)
    await turns()
    assert.deepEqual(heard, ['waiting', 'OK'], `after ${count} failures`)
  }
  core.close()
  await broker.close()
})
