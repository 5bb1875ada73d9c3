import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { z } from 'zod'
import { connectChannel, rpc, serve, service } from '../../../src/client/index.ts'
import { CommandFolder, type Outcome } from '../../support/command.ts'

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

const Order = z.object({ sku: z.string() })

const Orders = service('shop.v1.Orders', {
  place: rpc.unary({ in: Order, out: z.object({ id: z.string() }), errors: { OutOfStock: Order } }),
  count: rpc.serverStream({ in: z.object({ to: z.number() }), out: z.object({ n: z.number() }) }),
  join: rpc.clientStream({ in: Order, out: z.object({ text: z.string() }) }),
})

test('services are listed, and called with JSON', async () => {
  const data = folder.freshDirectory()
  await using command = folder.start(data)
  const { listeners } = await command.ready()
  const url = `rpc://${listeners['rpc']}`
  await using channel = connectChannel(url)
  await using provider = serve(
    channel,
    Orders,
    {
      place: ({ sku }, context) => {
        if (sku === 'gold') throw context.error('OutOfStock', { sku }, { message: 'none left' })
        return { id: `${sku}-${context.metadata.get('tenant')}` }
      },
      *count({ to }) {
        for (let n = 0; n < to; n++) yield { n }
      },
      join: async (orders) => {
        let text = ''
        for await (const { sku } of orders) text += sku
        return { text }
      },
    },
    { instanceId: 'one', version: '1.2.0', concurrency: 7 },
  )
  await provider.ready
  const run = async (...args: string[]): Promise<Outcome> =>
    folder.run(['call', ...args, '--url', url])

  const listed = await folder.run(['services', '--json', '--data', data])
  assert.equal(listed.code, 0, listed.stderr)
  const [view] = JSON.parse(listed.stdout) as Record<string, unknown>[]
  assert.deepEqual(
    [view?.['service'], view?.['instance'], view?.['version'], view?.['capacity']],
    ['shop.v1.Orders', 'one', '1.2.0', 7],
  )

  const placed = await run('shop.v1.Orders/place', '-d', '{"sku":"tea"}', '--metadata', 'tenant=t1')
  assert.deepEqual([placed.code, placed.stdout], [0, '{"id":"tea-t1"}\n'], placed.stderr)
  const counted = await run('/shop.v1.Orders/count', '-d', '{"to":2}')
  assert.equal(counted.stdout, '{"n":0}\n{"n":1}\n', counted.stderr)
  const joined = await run('shop.v1.Orders/join', '-d', '{"sku":"a"}', '-d', '{"sku":"b"}')
  assert.equal(joined.stdout, '{"text":"ab"}\n', joined.stderr)

  const tea = ['shop.v1.Orders/place', '-d', '{"sku":"tea"}', '--durable', '--key', 'k'] as const
  const stored = await run(...tea, '--metadata', 'tenant=t2', '--delay', '100ms')
  const { id, wasKnown } = JSON.parse(stored.stdout) as { id: string; wasKnown: boolean }
  assert.equal(wasKnown, false)
  assert.deepEqual(JSON.parse((await run(...tea)).stdout), { id, wasKnown: true })
  const done = await run('shop.v1.Orders/place', '--outcome', id)
  assert.deepEqual([done.code, done.stdout], [0, '{"id":"tea-t2"}\n'], done.stderr)
  const tooLate = await run('shop.v1.Orders/place', '--cancel', id)
  assert.equal(tooLate.code, 1)
  assert.match(tooLate.stderr, /FAILED_PRECONDITION: .* cannot be cancelled: it has ended/)

  const sold = await run('shop.v1.Orders/place', '-d', '{"sku":"gold"}')
  assert.equal(sold.code, 1)
  assert.match(
    sold.stderr,
    /FAILED_PRECONDITION: none left\n +shop\.v1\.Orders\.OutOfStock {"sku":"gold"}/,
  )
  const nobody = await run('shop.v1.Nothing/at', '-d', '{}')
  assert.match(
    nobody.stderr,
    /UNAVAILABLE: no provider of shop\.v1\.Nothing is registered \(unrouted\)/,
  )
  assert.equal((await run('nonsense')).code, 2)
  assert.equal((await run('a.B/c', '-d', '{')).code, 2)
})
