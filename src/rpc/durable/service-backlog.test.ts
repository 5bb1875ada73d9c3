import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { type BrokerRig, openBroker, queueSpec, turns } from '../../../test/support/broker-rig.ts'
import { SeededRandom } from '../../lib/random.ts'
import { encodedHeader } from '../../protocols/amqp091/foreign-header.ts'
import { AMQP091_FORM } from '../../protocols/amqp091/mapping.ts'
import { CLOSED_REQUEST, type CallHead, type ReplySink } from '../call.ts'
import { RpcCore, type RpcHost } from '../core.ts'
import { Metadata } from '../metadata.ts'
import { statusOf } from '../status.ts'
import { DurableHosts } from './durable-host.ts'
import { DURABLE } from './durable-metadata.ts'
import { REST_MS } from './limits.ts'

const SERVICE = 'shop.v1.Orders'
const QUEUE = `rpc.${SERVICE}`

let rig: BrokerRig
let hosts: DurableHosts
let core: RpcCore
let host: RpcHost
/** Attempts that a provider has. */
let attempts: ReplySink[]

/** A call is stored, and a provider has its first attempt. */
beforeEach(async () => {
  rig = await openBroker()
  await rig.vhost.declareQueue(queueSpec(QUEUE))
  rig.broker.registerForm({ ...AMQP091_FORM, encoded: encodedHeader })
  hosts = new DurableHosts({ broker: rig.broker })
  core = new RpcCore({ clock: rig.clock, random: new SeededRandom(1), durable: hosts.open })
  host = core.host('/')
  attempts = []
  const info = { instanceId: 'one', version: '', labels: {}, weight: 1, user: 'ann' }
  const provider = {
    open: (_head: CallHead, reply: ReplySink) => {
      attempts.push(reply)
      return CLOSED_REQUEST
    },
  }
  host.registry.attach({ ...info, services: [SERVICE] }, provider, 1)
  accept('one')
  await turns()
  assert.equal(attempts.length, 1)
})

function accept(key: string): void {
  const head: CallHead = {
    path: `/${SERVICE}/Do`,
    metadata: Metadata.fromFlat([DURABLE.ASK, 'accept', DURABLE.KEY, key]),
    deadlineMs: rig.clock.monotonicMs() + 1000,
    contentType: 'proto',
    isOneWay: false,
  }
  const request = host.relay.open(head, {
    head: () => {},
    reply: () => {},
    status: ({ code }) => assert.equal(code, 'OK'),
    creditRequests: () => {},
  })
  request.message(Buffer.from('x'), true)
}

/** Its queue knows no wait, so for a while nobody is tried. */
function fail(): void {
  attempts.at(-1)!.status(statusOf('INTERNAL', 'it broke'), Metadata.EMPTY)
}

/** The process may end. */
async function checkNoTimers(): Promise<void> {
  core.close()
  await rig.broker.close()
  assert.equal(rig.clock.timerCount, 0)
}

test('what fails in a queue without a backoff rests, and is tried again', async () => {
  fail()
  await turns()
  assert.equal(attempts.length, 1)
  rig.clock.advance(10 * REST_MS)
  await turns()
  assert.equal(attempts.length, 2)
})

test('no rest outlives the stop of durable calls', async () => {
  fail()
  await turns()
  const count = rig.clock.timerCount
  hosts.stop()
  assert.equal(rig.clock.timerCount, count - 1)
  await checkNoTimers()
})

test('no rest outlives its queue, nor begins when it is over', async () => {
  fail()
  await turns()
  const count = rig.clock.timerCount
  await rig.vhost.deleteDestination(QUEUE, { ifUnused: false, ifEmpty: false })
  assert.equal(rig.clock.timerCount, count - 1)
  await rig.vhost.declareQueue(queueSpec(QUEUE))
  accept('other')
  await turns()
  assert.equal(attempts.length, 2)
  hosts.stop()
  fail()
  await checkNoTimers()
})
