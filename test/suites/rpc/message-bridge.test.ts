/** The bounds of calls by messages, on a broker without protocols and in virtual time. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Inbox, type StoredMessage } from '../../../src/broker/index.ts'
import { NO_PROPERTIES, type CanonicalProperties } from '../../../src/model/canonical-properties.ts'
import { BrokerError } from '../../../src/model/errors.ts'
import { NATIVE_FORM, type NativeForm } from '../../../src/model/native-form.ts'
import { type BridgeLimits } from '../../../src/rpc/bridge/limits.ts'
import { MessageBridge } from '../../../src/rpc/bridge/message-bridge.ts'
import type { CallHead, Callee, ReplySink, RequestSink } from '../../../src/rpc/call.ts'
import { deadlineAfter } from '../../../src/rpc/call.ts'
import { RpcCore } from '../../../src/rpc/core.ts'
import { Metadata } from '../../../src/rpc/metadata.ts'
import { OK_STATUS, type Status } from '../../../src/rpc/status.ts'
import { SeededRandom } from '../../../src/lib/random.ts'
import {
  type BrokerRig,
  consume,
  openBroker,
  publish,
  queueSpec,
  Taker,
  turns,
} from '../../support/broker-rig.ts'

/** Properties as JSON: no protocol's form, so that nothing here is one's own. */
const JSON_FORM: NativeForm = {
  id: NATIVE_FORM.AMQP091,
  name: 'json',
  headers: () => null,
  property: () => null,
  extraKeys: () => null,
  expiration: () => null,
  canonical(header, start, end) {
    const said = JSON.parse(header.toString('utf8', start, end)) as Record<string, unknown>
    const id = said['correlationId']
    const correlationId = typeof id === 'string' ? Buffer.from(id) : null
    return { ...NO_PROPERTIES, ...said, correlationId }
  },
  encoded: (properties) => {
    const { headers, correlationId, ...rest } = properties
    const id = correlationId?.toString() ?? null
    return Buffer.from(JSON.stringify({ ...rest, headers, correlationId: id }))
  },
}

const ACTOR = { protocol: 'test', connectionId: 1, connection: 'test', user: 'me', clientId: null }

class World {
  readonly rig: BrokerRig
  readonly core: RpcCore
  readonly answers: CanonicalProperties[] = []
  readonly inbox: Inbox

  constructor(t: TestContext, rig: BrokerRig, limits: Partial<BridgeLimits>) {
    this.rig = rig
    rig.broker.registerForm(JSON_FORM)
    this.core = new RpcCore({ clock: rig.clock, random: new SeededRandom(1) })
    const bridge = new MessageBridge({
      ...{ broker: rig.broker, core: this.core, limits },
      rights: {
        requireCall: (_vhost, principal) => {
          if (principal !== 'me') throw new BrokerError('ACCESS_REFUSED', 'no right')
        },
        requirePublish: () => {},
      },
    })
    this.inbox = rig.vhost.openInbox('answers', {
      deliverDirect: (message: StoredMessage) => {
        const { data, headerStart, headerEnd } = message
        this.answers.push(JSON_FORM.canonical(data, headerStart, headerEnd))
      },
    })
    t.after(async () => {
      bridge.close()
      this.core.close()
      await rig.broker.close()
    })
  }

  static async open(t: TestContext, limits: Partial<BridgeLimits> = {}): Promise<World> {
    return new World(t, await openBroker(), limits)
  }

  call(said: Partial<CanonicalProperties> & { readonly by?: string | null } = {}): void {
    const { by = 'me', ...properties } = said
    const all = { ...NO_PROPERTIES, replyTo: 'answers', ...properties }
    const header = JSON_FORM.encoded!(all, 0)
    publish(this.rig.vhost, 'amq.rpc', 'a.Service.Method', '{}', {
      ...{ form: JSON_FORM.id, header, headerStart: 0, headerEnd: header.length },
      actor: by === null ? null : { ...ACTOR, user: by },
    })
  }

  codes(): unknown[] {
    return this.answers.map(({ headers }) => headers[0]!.value)
  }
}

class Waiting implements Callee {
  readonly replies: ReplySink[] = []
  readonly heads: CallHead[] = []
  readonly cancelled: string[] = []

  open(head: CallHead, reply: ReplySink): RequestSink {
    this.heads.push(head)
    this.replies.push(reply)
    return {
      message: () => {},
      halfClose: () => {},
      cancel: (reason) => void this.cancelled.push(reason),
      creditReplies: () => {},
    }
  }
}

const INFO = {
  ...{ instanceId: 'one', version: '', labels: {}, weight: 1, user: '' },
  services: ['a.Service'],
}

test('so many calls by messages may be open, and one that ends makes room', async (t) => {
  const world = await World.open(t, { messageCallsMax: 2 })
  const provider = new Waiting()
  world.core.host('/').registry.attach(INFO, provider, 100)
  for (let i = 0; i < 3; i++) world.call()
  assert.equal(provider.replies.length, 2)
  assert.deepEqual(world.codes(), ['8'])
  provider.replies[0]!.status(OK_STATUS, Metadata.EMPTY)
  world.call()
  assert.equal(provider.replies.length, 3)
  world.rig.clock.advance(10_100)
  assert.deepEqual(world.codes(), ['8', '0', '4', '4'])
})

test('a deadline is as long as was said, cut to the limit, and 10 s where nothing was', async (t) => {
  const world = await World.open(t, { deadlineMsMax: 20_000 })
  const provider = new Waiting()
  world.core.host('/').registry.attach(INFO, provider, 100)
  world.call()
  world.call({ expirationMs: 500 })
  world.call({ expirationMs: 90_000 })
  const now = world.rig.clock.monotonicMs()
  const left = provider.heads.map(({ deadlineMs }) => deadlineMs - now)
  assert.deepEqual(left, [10_000, 500, 20_000])
})

test('a call that nobody can be answered for any more is cancelled', async (t) => {
  const world = await World.open(t)
  const provider = new Waiting()
  world.core.host('/').registry.attach(INFO, provider, 100)
  world.call()
  world.rig.clock.advance(1000)
  assert.deepEqual(provider.cancelled, [])
  world.inbox.close()
  world.rig.clock.advance(1000)
  assert.deepEqual(provider.cancelled, ['the caller has gone'])
})

test('who is not known, or has no right, calls nobody', async (t) => {
  const world = await World.open(t)
  const provider = new Waiting()
  world.core.host('/').registry.attach(INFO, provider, 100)
  world.call({ by: 'another' })
  assert.deepEqual(world.codes(), ['7'])
  world.call({ by: null })
  assert.deepEqual([world.codes(), provider.heads], [['7'], []])
  assert.equal(world.rig.complaints.length, 1)
})

test('a queue has so many calls at once, and others wait for it', async (t) => {
  const world = await World.open(t, { queueCallsMax: 2 })
  const { vhost, clock } = world.rig
  const queue = await vhost.declareQueue(queueSpec('rpc-worker.a.Service'))
  const own = await vhost.declareQueue(queueSpec('rpc-worker.a.Own', {}, { exclusiveOwner: {} }))
  for (const { name } of [queue, own]) consume(vhost, name, new Taker())
  await turns()
  const { registry, relay } = world.core.host('/')
  assert.deepEqual(
    Array.from(registry.services, ({ name }) => name),
    ['a.Service'],
  )
  const ends: Status['code'][] = []
  const open = (): RequestSink => {
    const request = relay.open(
      {
        ...{ path: '/a.Service/Method', metadata: Metadata.EMPTY, contentType: 'json' },
        ...{ deadlineMs: deadlineAfter(clock.monotonicMs(), 1000), isOneWay: false },
      },
      {
        ...{ head: () => {}, reply: () => {}, creditRequests: () => {} },
        status: ({ code }) => void ends.push(code),
      },
    )
    request.message(Buffer.from('{}'), true)
    return request
  }
  const calls = [open(), open(), open()]
  const [service] = [...registry.services]
  assert.deepEqual([service!.providers[0]!.outstanding, service!.waiting.size], [2, 1])
  calls[0]!.cancel('enough')
  assert.deepEqual([service!.providers[0]!.outstanding, service!.waiting.size], [2, 0])
  clock.advance(1100)
  assert.deepEqual(ends, ['DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED'])
  assert.equal(service!.providers[0]!.outstanding, 0)
})
