import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ManualClock } from '../lib/clock.ts'
import { SeededRandom } from '../lib/random.ts'
import { BALANCE_POLICIES, type BalancePolicy } from './balancer.ts'
import type { CallHead, Callee, ReplySink, RequestSink } from './call.ts'
import { hopDetail, hopOf, isUndelivered } from './hop.ts'
import { RpcCore } from './core.ts'
import { Metadata } from './metadata.ts'
import type { Attachment, Registry, RegistryListener } from './registry.ts'
import { KEY_METADATA, type Relay, type RelayLimits } from './relay.ts'
import { OK_STATUS, type Status, statusOf } from './status.ts'

/** Writes down what it hears, one line a word. */
class Caller implements ReplySink {
  readonly heard: string[] = []
  ended: Status | null = null

  head(metadata: Metadata): void {
    this.heard.push(`head ${[...metadata].join(' ')}`)
  }

  reply(bytes: Uint8Array): void {
    this.heard.push(`reply ${String(Buffer.from(bytes))}`)
  }

  status(status: Status): void {
    assert.equal(this.ended, null, 'a second status')
    this.ended = status
    this.heard.push(status.code)
  }

  creditRequests(cost: number): void {
    this.heard.push(`credit ${cost}`)
  }
}

class ProvidedCall implements RequestSink {
  readonly head: CallHead
  readonly reply: ReplySink
  readonly heard: string[] = []

  constructor(head: CallHead, reply: ReplySink) {
    this.head = head
    this.reply = reply
  }

  message(bytes: Uint8Array, isLast: boolean): void {
    this.heard.push(`${String(Buffer.from(bytes))}${isLast ? ' last' : ''}`)
  }

  halfClose(): void {
    this.heard.push('half-close')
  }

  cancel(reason: string): void {
    this.heard.push(`cancel: ${reason}`)
  }

  creditReplies(cost: number): void {
    this.heard.push(`credit ${cost}`)
  }

  ok(text = 'done'): void {
    this.reply.reply(Buffer.from(text))
    this.reply.status(OK_STATUS, Metadata.EMPTY)
  }

  refuse(): void {
    const details = [hopDetail({ stage: 'queued', provider: 'x', waitedMs: 0 })]
    this.reply.status(statusOf('UNAVAILABLE', 'not now', details), Metadata.EMPTY)
  }
}

class Provider implements Callee {
  readonly calls: ProvidedCall[] = []
  refusesAtOnce = false
  attachment!: Attachment

  open(head: CallHead, reply: ReplySink): RequestSink {
    const call = new ProvidedCall(head, reply)
    this.calls.push(call)
    if (this.refusesAtOnce) call.refuse()
    return call
  }
}

interface World {
  readonly clock: ManualClock
  readonly registry: Registry
  readonly relay: Relay
  readonly provider: (id: string, capacity: number, more?: Partial<ProviderMore>) => Provider
  readonly call: (options?: Partial<CallHead>) => Made
}

interface Made {
  readonly caller: Caller
  readonly request: RequestSink
}

interface ProviderMore {
  readonly weight: number
  readonly policy: BalancePolicy
}

function world(limits: Partial<RelayLimits> = {}): World {
  const clock = new ManualClock()
  const core = new RpcCore({ clock, random: new SeededRandom(7), limits })
  const { registry, relay } = core.host('/')
  return {
    clock,
    registry,
    relay,
    provider: (instanceId, capacity, more = {}) => {
      const info = { instanceId, version: '', labels: {}, weight: 1, user: '', ...more }
      const provider = new Provider()
      const services = ['shop.v1.Orders']
      provider.attachment = registry.attach({ ...info, services }, provider, capacity)
      return provider
    },
    call: (options = {}) => {
      const caller = new Caller()
      const head: CallHead = {
        path: '/shop.v1.Orders/place',
        metadata: Metadata.EMPTY,
        deadlineMs: clock.monotonicMs() + 10_000,
        contentType: 'json',
        isOneWay: false,
        ...options,
      }
      return { caller, request: relay.open(head, caller) }
    },
  }
}

function lastBytes(text: string): [Uint8Array, boolean] {
  return [Buffer.from(text), true]
}

test('what the two sides say reaches the other one, in order', () => {
  const { provider, call, relay } = world()
  const { calls, attachment } = provider('a', 1)
  const { caller, request } = call()
  request.message(Buffer.from('one'), false)
  request.message(...lastBytes('two'))
  request.creditReplies(7)
  calls[0]!.reply.creditRequests(5)
  calls[0]!.reply.head(Metadata.from([['a', 'b']]))
  assert.equal(attachment.outstanding, 1)
  calls[0]!.ok()
  assert.deepEqual(calls[0]!.heard, ['one', 'two last', 'credit 7'])
  assert.deepEqual(caller.heard, ['credit 5', 'head a,b', 'reply done', 'OK'])
  assert.equal(attachment.outstanding, 0)
  assert.deepEqual([relay.keptBytes, relay.openCount], [0, 0])
  request.cancel('too late')
  calls[0]!.ok()
  assert.equal(caller.heard.length, 4)
})

test('without a provider a call ends at once, with the stage it came to', () => {
  const { call } = world()
  const { caller } = call()
  assert.equal(caller.ended?.code, 'UNAVAILABLE')
  assert.equal(hopOf(caller.ended)?.stage, 'unrouted')
  assert.equal(call({ path: 'nonsense' }).caller.ended?.code, 'UNIMPLEMENTED')
})

test('calls wait in order while all are busy, and are refused when too many do', () => {
  const { clock, provider, call, relay } = world({ waitingCallsMax: 2 })
  const { calls } = provider('a', 1)
  call()
  const waiting = [call(), call()]
  const refused = call()
  assert.equal(refused.caller.ended?.code, 'RESOURCE_EXHAUSTED')
  for (const [index, { request }] of waiting.entries()) request.message(...lastBytes(`w${index}`))
  assert.equal(calls.length, 1)
  clock.advance(30)
  calls[0]!.ok()
  assert.deepEqual(calls[1]!.heard, ['w0 last'])
  calls[1]!.ok()
  assert.deepEqual(calls[2]!.heard, ['w1 last'])
  calls[2]!.ok()
  assert.deepEqual(waiting[1]!.caller.heard, ['reply done', 'OK'])
  assert.equal(relay.keptBytes, 0)
})

test('what waits is bounded in bytes', () => {
  const { provider, call, relay } = world({ keptBytesMax: 10 })
  provider('a', 1)
  call()
  const { caller, request } = call()
  request.message(Buffer.alloc(6), false)
  request.message(Buffer.alloc(6), false)
  assert.equal(caller.ended?.code, 'RESOURCE_EXHAUSTED')
  assert.equal(relay.keptBytes, 0)
})

test('a deadline ends a call wherever it is, and reaches the provider', () => {
  const { clock, provider, call, relay } = world()
  const { calls, attachment } = provider('a', 1)
  const open = call({ deadlineMs: 100 })
  const waiting = call({ deadlineMs: 50 })
  clock.advance(60)
  assert.deepEqual(waiting.caller.heard, ['DEADLINE_EXCEEDED'])
  assert.deepEqual(hopOf(waiting.caller.ended!), { stage: 'queued', provider: '', waitedMs: 56 })
  clock.advance(60)
  assert.deepEqual(open.caller.heard, ['DEADLINE_EXCEEDED'])
  assert.equal(hopOf(open.caller.ended!)?.stage, 'delivered')
  assert.deepEqual(calls[0]!.heard, ['cancel: the deadline has passed'])
  assert.deepEqual([attachment.outstanding, relay.openCount, clock.timerCount], [0, 0, 0])
})

test('cancellation reaches the provider, and makes room for one that waits', () => {
  const { provider, call } = world()
  const { calls } = provider('a', 1)
  const { caller, request } = call()
  const next = call()
  request.cancel('no longer wanted')
  assert.deepEqual(calls[0]!.heard, ['cancel: no longer wanted'])
  assert.deepEqual(caller.heard, [])
  assert.equal(calls.length, 2)
  next.request.cancel('nor this')
  assert.deepEqual(calls[1]!.heard, ['cancel: nor this'])
})

test('a call that was turned away goes to another provider with all of its request', () => {
  const { provider, call, relay } = world()
  const one = provider('a', 1)
  const { caller, request } = call()
  const two = provider('b', 1)
  request.message(Buffer.from('m1'), false)
  request.message(...lastBytes('m2'))
  one.calls[0]!.refuse()
  assert.deepEqual(two.calls[0]!.heard, ['m1', 'm2 last'])
  two.calls[0]!.ok()
  assert.deepEqual(caller.heard, ['reply done', 'OK'])
  assert.equal(relay.counts.rerouted, 1)
  assert.equal(one.attachment.outstanding, 0)
})

test('a call that everybody turns away ends with the stage queued', () => {
  const { provider, call } = world()
  const providers = [provider('a', 9), provider('b', 9)]
  for (const one of providers) one.refusesAtOnce = true
  const { caller } = call()
  assert.equal(caller.ended?.code, 'UNAVAILABLE')
  assert.ok(isUndelivered(caller.ended))
  for (const { attachment } of providers) assert.equal(attachment.outstanding, 0)
})

test('a call that had begun is not made again, and tells so', () => {
  const { provider, call } = world()
  const one = provider('a', 1)
  const { caller, request } = call()
  provider('b', 1)
  request.message(...lastBytes('m'))
  one.calls[0]!.reply.reply(Buffer.from('half'))
  one.calls[0]!.refuse()
  assert.deepEqual(caller.heard, ['reply half', 'UNAVAILABLE'])
  assert.equal(hopOf(caller.ended!)?.stage, 'reply_lost')
})

test('when the last provider goes, calls that wait end', () => {
  const { registry, provider, call } = world()
  const { attachment } = provider('a', 1)
  call()
  const { caller } = call()
  registry.detach(attachment)
  registry.detach(attachment)
  assert.equal(caller.ended?.code, 'UNAVAILABLE')
  assert.equal(hopOf(caller.ended)?.stage, 'queued')
})

test('a one-way call ends when a provider has all of it', () => {
  const { provider, call } = world()
  const { calls, attachment } = provider('a', 1)
  const { caller, request } = call({ isOneWay: true })
  const waiting = call({ isOneWay: true })
  assert.deepEqual(caller.heard, [])
  request.message(...lastBytes('m'))
  waiting.request.message(...lastBytes('n'))
  assert.deepEqual(caller.heard, ['OK'])
  assert.deepEqual(waiting.caller.heard, [])
  assert.equal(attachment.outstanding, 1)
  calls[0]!.ok()
  assert.deepEqual([caller.heard, waiting.caller.heard], [['OK'], ['OK']])
})

test('draining is a capacity of none; more capacity takes what waits', () => {
  const { registry, provider, call } = world()
  const { calls, attachment } = provider('a', 0)
  call()
  call()
  assert.equal(calls.length, 0)
  registry.setCapacity(attachment, 1)
  assert.equal(calls.length, 1)
  attachment.isBlocked = true
  registry.setCapacity(attachment, 2)
  assert.equal(calls.length, 1)
  attachment.isBlocked = false
  registry.freed(attachment)
  assert.equal(calls.length, 2)
})

test('a watcher hears of all that comes and goes', () => {
  const { registry, provider } = world()
  const heard: string[] = []
  const listener: RegistryListener = {
    attached: ({ info }) => heard.push(`+${info.instanceId}`),
    detached: ({ info }) => heard.push(`-${info.instanceId}`),
    changed: ({ info, capacity }) => heard.push(`${info.instanceId}=${capacity}`),
  }
  const stop = registry.watch(listener)
  const { attachment } = provider('a', 1)
  registry.setCapacity(attachment, 5)
  registry.detach(attachment)
  stop()
  provider('b', 1)
  assert.deepEqual(heard, ['+a', 'a=5', '-a'])
})

test('policies spread calls as they say', () => {
  const shares = (
    policy: BalancePolicy,
    count: number,
    key: (index: number) => string,
  ): number[] => {
    const { provider, call } = world()
    const providers = [1, 2, 3].map((weight) => provider(`p${weight}`, 1000, { weight, policy }))
    for (let index = 0; index < count; index++) {
      call({ metadata: Metadata.from([[KEY_METADATA, key(index)]]) })
    }
    return providers.map(({ calls }) => calls.length)
  }
  const ownKey = (index: number): string => `key ${index}`
  assert.deepEqual(shares('least-outstanding', 300, ownKey), [100, 100, 100])
  assert.deepEqual(shares('round-robin', 300, ownKey), [100, 100, 100])
  assert.deepEqual(shares('weighted', 300, ownKey), [50, 100, 150])
  assert.deepEqual(
    shares('consistent-hash', 300, () => 'one').toSorted((a, b) => a - b),
    [0, 0, 300],
  )
  for (const share of shares('two-choices', 300, ownKey)) assert.ok(share > 85 && share < 115)
  const [one = 0, two = 0, three = 0] = shares('consistent-hash', 600, ownKey)
  assert.ok(one < two && two < three, `${one} ${two} ${three}`)
})

// Callers, providers and time may do anything in any order.
test('every call ends once, by its deadline at the latest, and nobody has more than it takes', () => {
  const action = fc.record({
    kind: fc.constantFrom('call', 'ok', 'refuse', 'cancel', 'wait', 'attach', 'detach', 'capacity'),
    index: fc.nat(100),
    amount: fc.nat(3),
  })
  const policy = fc.constantFrom(...BALANCE_POLICIES)
  fc.assert(
    fc.property(policy, fc.array(action, { maxLength: 120 }), (balance, actions) => {
      const { clock, registry, relay, provider, call } = world({ waitingCallsMax: 5 })
      const providers = [provider('first', 1, { policy: balance })]
      const made: { caller: Caller; request: RequestSink; cancelled: boolean }[] = []
      for (const { kind, index, amount } of actions) {
        const one = providers[index % providers.length]!
        const provided = one.calls[index % Math.max(one.calls.length, 1)]
        const before = made[index % Math.max(made.length, 1)]
        if (kind === 'call') {
          const begun = call({ deadlineMs: clock.monotonicMs() + 500 * amount })
          made.push({ ...begun, cancelled: false })
          begun.request.message(Buffer.from('m'), amount > 1)
        } else if (kind === 'ok') provided?.ok()
        else if (kind === 'refuse') provided?.refuse()
        else if (kind === 'wait') clock.advance(100 * amount)
        else if (kind === 'attach') providers.push(provider(`p${providers.length}`, amount))
        else if (kind === 'detach') registry.detach(one.attachment)
        else if (kind === 'capacity') registry.setCapacity(one.attachment, amount)
        else if (before !== undefined && before.caller.ended === null) {
          before.cancelled = true
          before.request.cancel('enough')
        }
        if (kind === 'capacity') continue
        for (const { attachment } of providers) assert.ok(attachment.outstanding >= 0)
      }
      clock.advance(2000)
      for (const { caller, cancelled } of made) assert.equal(caller.ended === null, cancelled)
      for (const { attachment } of providers) assert.equal(attachment.outstanding, 0)
      assert.deepEqual([relay.keptBytes, relay.openCount, clock.timerCount], [0, 0, 0])
    }),
  )
})
