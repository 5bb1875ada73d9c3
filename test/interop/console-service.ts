/** A service for the console to look at: two instances that take calls until the world ends. */
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { connectChannel, rpc, serve, service } from '../../src/client/index.ts'

const Orders = service('shop.v1.Orders', {
  place: rpc.unary({
    in: z.object({
      sku: z.string().describe('Which tea'),
      count: z.number().int().default(1),
      wrapping: z.enum(['paper', 'box']).optional(),
      express: z.boolean().optional(),
    }),
    out: z.object({ id: z.string(), note: z.string() }),
    errors: { OutOfStock: z.object({ left: z.number() }) },
    deadlineMs: 5000,
  }),
  watch: rpc.serverStream({
    in: z.object({ id: z.string() }),
    out: z.object({ state: z.string() }),
  }),
  sum: rpc.clientStream({
    in: z.object({ count: z.number() }),
    out: z.object({ total: z.number() }),
  }),
})

/** Serves it at a broker; whoever calls goes to either instance. */
export async function serveOrders(url: string): Promise<AsyncDisposable> {
  await using opened = new AsyncDisposableStack()
  for (const instanceId of ['till-1', 'till-2']) {
    const channel = opened.adopt(connectChannel(url), async (each) => each.close())
    const provider = serve(
      channel,
      Orders,
      {
        place({ sku, count, wrapping = 'none', express }, context) {
          if (count > 5) throw context.error('OutOfStock', { left: 5 })
          context.setTrailers([['till', instanceId]])
          const tenant = context.metadata.get('tenant') ?? 'nobody'
          return { id: `${sku}-${count}`, note: `${wrapping} ${express ?? '-'} for ${tenant}` }
        },
        async *watch({ id }, { signal }) {
          yield { state: `${id} is paid` }
          yield { state: `${id} is sent` }
          // Until whoever watches has seen enough.
          if (id === 'slow') await sleep(60_000, null, { signal }).catch(() => {})
        },
        async sum(messages) {
          let total = 0
          for await (const { count } of messages) total += count
          return { total }
        },
      },
      { instanceId, version: '1.4.2', labels: { zone: 'eu' }, concurrency: 10 },
    )
    await provider.ready
  }
  const all = opened.move()
  return { [Symbol.asyncDispose]: async () => all.disposeAsync() }
}
