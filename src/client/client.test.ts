import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { z } from 'zod'
import { ManualClock } from '../lib/clock.ts'
import { SeededRandom } from '../lib/random.ts'
import {
  hopOf,
  localChannel,
  RpcError,
  createClient,
  errorOf,
  rpc,
  serve,
  service,
} from './index.ts'
import type { Channel, Client, Handlers, PolicyOptions, ServeOptions } from './index.ts'

const Order = z.object({ sku: z.string(), count: z.number().int().default(1) })

const Orders = service('shop.v1.Orders', {
  place: rpc.unary({
    in: Order,
    out: z.object({ id: z.string(), at: z.iso.datetime().transform((text) => new Date(text)) }),
    errors: { OutOfStock: z.object({ sku: z.string(), left: z.number() }) },
  }),
  find: rpc.unary({
    in: z.object({ id: z.string() }),
    out: z.object({ id: z.string() }),
    idempotency: 'no-side-effects',
    deadlineMs: 500,
  }),
  watch: rpc.serverStream({
    in: z.object({ count: z.number() }),
    out: z.object({ n: z.number() }),
  }),
  upload: rpc.clientStream({ in: Order, out: z.object({ total: z.number() }) }),
  talk: rpc.bidi({ in: z.object({ text: z.string() }), out: z.object({ text: z.string() }) }),
  audit: rpc.oneway({ in: z.object({ what: z.string() }) }),
})

type OrdersHandlers = Handlers<(typeof Orders)['methods']>

function handlers(changed: Partial<OrdersHandlers> = {}): OrdersHandlers {
  return {
    place: ({ sku, count }) => ({ id: `${sku}-${count}`, at: '2026-01-02T03:04:05Z' }),
    find: async ({ id }) => ({ id }),
    async *watch({ count }) {
      for (let n = 0; n < count; n++) yield { n }
    },
    upload: async (orders) => {
      let total = 0
      for await (const { count } of orders) total += count
      return { total }
    },
    async *talk(lines) {
      for await (const { text } of lines) yield { text: text.toUpperCase() }
    },
    audit: () => {},
    ...changed,
  }
}

interface World {
  readonly clock: ManualClock
  readonly channel: Channel
  readonly orders: Client<(typeof Orders)['methods']>
  readonly errors: unknown[]
}

async function world(
  changed: Partial<OrdersHandlers> = {},
  options: { readonly policy?: PolicyOptions; readonly serve?: ServeOptions } = {},
): Promise<World> {
  const clock = new ManualClock()
  const channel = localChannel({ clock, random: new SeededRandom(3) })
  const errors: unknown[] = []
  const provider = serve(channel, Orders, handlers(changed), {
    onError: (error) => errors.push(error),
    ...options.serve,
  })
  await provider.ready
  const { policy } = options
  const orders = createClient(Orders, channel, policy === undefined ? {} : { policy })
  return { clock, channel, orders, errors }
}

function codeIs(code: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof RpcError, String(error))
    assert.equal(error.code, code, error.message)
    return true
  }
}

test('a call has its types, its defaults and its transformations', async () => {
  const { orders, channel } = await world()
  const placed = await orders.place({ sku: 'tea' })
  assert.equal(placed.id, 'tea-1')
  assert.equal(placed.at.getTime(), Date.UTC(2026, 0, 2, 3, 4, 5))
  await channel.close()
})

test('what does not fit the contract is refused, on both sides', async () => {
  const { orders } = await world({ find: () => ({ id: 5 as unknown as string }) })
  const wrong = { sku: 7 } as unknown as { sku: string }
  await assert.rejects(orders.place(wrong), (error: RpcError) => {
    assert.match(error.message, /^sku: /)
    return codeIs('INVALID_ARGUMENT')(error)
  })
  await assert.rejects(orders.find({ id: 'x' }), codeIs('INTERNAL'))
})

test('declared errors are typed, others carry their code, and the rest tells nothing', async () => {
  const { orders, errors } = await world({
    place: ({ sku, count }, context) => {
      if (count > 5) throw context.error('OutOfStock', { sku, left: 5 })
      if (count > 3) throw new RpcError('PERMISSION_DENIED', 'too many')
      throw new Error('a secret of the provider')
    },
  })
  const declared = await orders.place({ sku: 'tea', count: 9 }).catch((error: unknown) => {
    assert.ok(codeIs('FAILED_PRECONDITION')(error))
    return errorOf(Orders, 'place', error)
  })
  assert.ok(declared !== null && 'name' in declared)
  assert.deepEqual(declared, { name: 'OutOfStock', data: { sku: 'tea', left: 5 } })
  await assert.rejects(orders.place({ sku: 'tea', count: 4 }), codeIs('PERMISSION_DENIED'))
  await assert.rejects(orders.place({ sku: 'tea' }), {
    code: 'UNKNOWN',
    message: 'the handler failed',
  })
  assert.match(String(errors[0]), /secret/)
})

test('streams of both directions end as they should', async () => {
  const { orders } = await world()
  const seen: number[] = []
  for await (const { n } of orders.watch({ count: 5 })) seen.push(n)
  assert.deepEqual(seen, [0, 1, 2, 3, 4])
  assert.deepEqual(await orders.upload([{ sku: 'a' }, { sku: 'b', count: 4 }]), { total: 5 })
  const heard: string[] = []
  for await (const { text } of orders.talk([{ text: 'a' }, { text: 'b' }])) heard.push(text)
  assert.deepEqual(heard, ['A', 'B'])
})

test('a stream holds no more than its window, and goes on as it is read', async () => {
  let made = 0
  const { orders } = await world({
    async *watch({ count }) {
      for (; made < count; made++) yield { n: made }
    },
  })
  const replies = orders.watch({ count: 20_000 })[Symbol.asyncIterator]()
  for (let round = 0; round < 50; round++) await turn()
  assert.ok(made > 100 && made < 8000, `${made} messages were made unread`)
  let count = 0
  while ((await replies.next()).done !== true) count += 1
  assert.equal(count, 20_000)
})

test('a reader who stops cancels the call at the provider', async () => {
  let aborted = false
  const { orders } = await world({
    async *watch(_, context) {
      context.signal.addEventListener('abort', () => {
        aborted = true
      })
      for (let n = 0; ; n++) {
        yield { n }
        if (n % 100 === 0) await turn()
      }
    },
  })
  for await (const { n } of orders.watch({ count: 1 })) if (n === 3) break
  assert.equal(aborted, true)
})

test('a one-way call ends when a provider has it', async () => {
  const heard: string[] = []
  const { orders } = await world({
    audit: async ({ what }) => {
      heard.push(what)
      await turn()
      throw new RpcError('ABORTED', 'nobody hears of it')
    },
  })
  await orders.audit({ what: 'door opened' })
  assert.deepEqual(heard, ['door opened'])
})

test('the default deadline, the one of the method and the one of the call hold', async () => {
  const reasons: unknown[] = []
  const never = async (_: unknown, { signal }: { signal: AbortSignal }): Promise<never> =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        reasons.push(signal.reason)
        reject(new Error('aborted'))
      })
    })
  const { clock, orders, errors } = await world({ place: never, find: never })
  const over = async (call: Promise<unknown>, ms: number): Promise<void> => {
    let isOver = false
    const ended = assert.rejects(call, codeIs('DEADLINE_EXCEEDED')).then(() => {
      isOver = true
    })
    clock.advance(ms - 1)
    await turn()
    assert.equal(isOver, false)
    clock.advance(20)
    await ended
  }
  await over(orders.place({ sku: 'a' }), 10_000)
  await over(orders.find({ id: 'a' }), 500)
  await over(orders.find({ id: 'a' }, { deadlineMs: 50 }), 50)
  await assert.rejects(orders.find({ id: 'a' }, { deadlineMs: 0 }), codeIs('DEADLINE_EXCEEDED'))
  assert.equal(reasons.length, 3)
  assert.deepEqual(errors, [])
})

test('cancelling reaches the handler, by signal and by handle', async () => {
  const aborted = Promise.withResolvers<unknown>()
  const { orders } = await world({
    place: async (_, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          aborted.resolve(signal.reason)
          reject(new Error('aborted'))
        })
      }),
  })
  const handle = orders.place.start({ sku: 'a' })
  handle.cancel('changed my mind')
  await assert.rejects(handle.result, { code: 'CANCELLED', message: 'changed my mind' })
  assert.match(String(await aborted.promise), /changed my mind/)
  const signal = AbortSignal.abort(new Error('never begun'))
  await assert.rejects(orders.place({ sku: 'a' }, { signal }), { message: 'never begun' })
})

test('a call inside a handler has no more time than the call around it, and ends with it', async () => {
  const seen: number[] = []
  const innerAborted = Promise.withResolvers<void>()
  const context = await world({
    place: async ({ sku }) => {
      const { id } = await context.orders.find({ id: sku }, { deadlineMs: 60_000 })
      return { id, at: '2026-01-02T03:04:05Z' }
    },
    find: async (_, { remainingMs, signal }) => {
      seen.push(remainingMs)
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          innerAborted.resolve()
          reject(new Error('aborted'))
        })
      })
    },
  })
  const handle = context.orders.place.start({ sku: 'a' }, { deadlineMs: 300 })
  await turn()
  assert.deepEqual(seen, [300])
  handle.cancel()
  await innerAborted.promise
})

test('metadata goes both ways, and a trace goes on by itself', async () => {
  const seen: (string | null)[] = []
  const { orders } = await world({
    place: async ({ sku }, context) => {
      seen.push(context.metadata.get('tenant'))
      context.sendHead([['served-by', 'me']])
      context.setTrailers([['cost', '3']])
      return { id: (await orders.find({ id: sku })).id, at: '2026-01-02T03:04:05Z' }
    },
    find: ({ id }, { metadata }) => {
      seen.push(metadata.get('tenant'), metadata.get('traceparent'))
      return { id }
    },
  })
  const told: unknown[] = []
  await orders.place(
    { sku: 'a' },
    {
      metadata: { tenant: 't1', traceparent: '00-1-2-01' },
      onHead: (head) => told.push(...head),
      onTrailers: (trailers) => told.push(...trailers),
    },
  )
  assert.deepEqual(seen, ['t1', null, '00-1-2-01'])
  assert.deepEqual(told, [
    ['served-by', 'me'],
    ['cost', '3'],
  ])
})

test('interceptors of both sides see and change what passes', async () => {
  const { channel } = await world(
    {},
    {
      serve: {
        interceptors: [
          async ({ input, context }, next) => {
            if (context.metadata.get('token') !== 't') throw new RpcError('UNAUTHENTICATED', 'who?')
            return next({ ...(input as object), count: 7 })
          },
        ],
      },
    },
  )
  const orders = createClient(Orders, channel, {
    interceptors: [
      async (call, next) =>
        next({ ...call, options: { ...call.options, metadata: { token: 't' } } }),
    ],
  })
  assert.equal((await orders.place({ sku: 'a' })).id, 'a-7')
  const seen = []
  for await (const reply of orders.watch({ count: 1 })) seen.push(reply.n)
  assert.equal(seen.length, 7)
  const plain = createClient(Orders, channel)
  await assert.rejects(plain.place({ sku: 'a' }), codeIs('UNAUTHENTICATED'))
})

test('a provider that closes lets its calls end, and takes no more', async () => {
  const clock = new ManualClock()
  const channel = localChannel({ clock })
  const go = Promise.withResolvers<void>()
  const slow = handlers({
    find: async ({ id }) => {
      await go.promise
      return { id }
    },
  })
  const provider = serve(channel, Orders, slow, { instanceId: 'one' })
  const orders = createClient(Orders, channel, { policy: { retry: false } })
  const found = orders.find({ id: 'x' })
  await turn()
  assert.equal(provider.openCount, 1)
  const closed = provider.close()
  await assert.rejects(orders.find({ id: 'y' }), codeIs('UNAVAILABLE'))
  go.resolve()
  assert.deepEqual(await found, { id: 'x' })
  await closed
})

test('what was not delivered is tried again, what may have been only if that does no harm', async () => {
  let attempts = 0
  const failing = (): never => {
    attempts += 1
    throw new RpcError('UNAVAILABLE', 'try later')
  }
  const { clock, orders } = await world({ place: failing, find: failing })
  await assert.rejects(orders.place({ sku: 'a' }), codeIs('UNAVAILABLE'))
  assert.equal(attempts, 1)
  attempts = 0
  const found = assert.rejects(orders.find({ id: 'a' }), codeIs('UNAVAILABLE'))
  for (let round = 0; round < 20; round++) {
    clock.advance(20)
    await turn()
  }
  await found
  assert.equal(attempts, 4)

  const lonely = localChannel({ clock })
  const early = createClient(Orders, lonely).place({ sku: 'b' })
  serve(lonely, Orders, handlers())
  clock.advance(50)
  assert.equal((await early).id, 'b-1')
})

test('retries have a budget, so that an outage is not doubled', async () => {
  let attempts = 0
  const { clock, orders } = await world(
    {
      find: () => {
        attempts += 1
        throw new RpcError('UNAVAILABLE', 'down')
      },
    },
    { policy: { breaker: false } },
  )
  const calls = Array.from({ length: 100 }, async () => orders.find({ id: 'a' }).catch(() => {}))
  for (let round = 0; round < 40; round++) {
    clock.advance(20)
    await turn()
  }
  await Promise.all(calls)
  assert.ok(attempts > 100 && attempts <= 121, `${attempts} attempts for 100 calls`)
})

test('the circuit opens after many failures, and closes after one call that is well', async () => {
  let isDown = true
  let attempts = 0
  const { clock, orders } = await world(
    {
      find: ({ id }) => {
        attempts += 1
        if (isDown) throw new RpcError('INTERNAL', 'broken')
        return { id }
      },
    },
    { policy: { retry: false } },
  )
  for (let index = 0; index < 30; index++) await orders.find({ id: 'a' }).catch(() => {})
  assert.equal(attempts, 20)
  await assert.rejects(orders.find({ id: 'a' }), /the circuit is open/)
  clock.advance(1001)
  await assert.rejects(orders.find({ id: 'a' }), codeIs('INTERNAL'))
  isDown = false
  await assert.rejects(orders.find({ id: 'a' }), /the circuit is open/)
  clock.advance(1001)
  await orders.find({ id: 'a' })
  await orders.find({ id: 'a' })
  assert.equal(attempts, 23)
})

test('limit, fallback and hedging are there for who asks for them', async () => {
  const waiting: (() => void)[] = []
  const { clock, orders } = await world(
    {
      find: async ({ id }) => {
        if (waiting.length === 0) await new Promise<void>((resolve) => waiting.push(resolve))
        return { id }
      },
    },
    { policy: { concurrencyMax: 2, hedge: { delayMs: 50 } } },
  )
  const hedged = orders.find({ id: 'h' })
  await turn()
  clock.advance(60)
  assert.deepEqual(await hedged, { id: 'h' })
  waiting[0]!()

  const { orders: bounded } = await world(
    { place: async () => new Promise(() => {}) },
    {
      policy: {
        concurrencyMax: 1,
        fallback: ({ error }) => ({ id: error.code, at: new Date(0) }),
      },
    },
  )
  const first = bounded.place.start({ sku: 'a' })
  assert.equal((await bounded.place({ sku: 'b' })).id, 'RESOURCE_EXHAUSTED')
  first.cancel()
  assert.equal((await first.result).id, 'CANCELLED')
})

test('without a provider a call ends at once, and says how far it came', async () => {
  const channel = localChannel({ clock: new ManualClock() })
  const orders = createClient(Orders, channel, { policy: { retry: false } })
  await assert.rejects(orders.find({ id: 'a' }), (error: RpcError) => {
    assert.equal(hopOf(error)?.stage, 'unrouted')
    return codeIs('UNAVAILABLE')(error)
  })
})
