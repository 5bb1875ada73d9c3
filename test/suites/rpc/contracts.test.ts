/** Contracts out of `.proto` files, as protobuf-es generates them, on every wire. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { create, toBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { Code, ConnectError, createClient as createConnectClient } from '@connectrpc/connect'
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node'
import { z } from 'zod'
import * as shop from '../../../examples/shop/typescript/shop_pb.ts'
import {
  type Channel,
  connectChannel,
  createClient,
  errorOf,
  type Provider,
  rpc,
  RpcError,
  serve,
  service,
} from '../../../src/client/index.ts'
import { startBroker } from '../../../src/server/index.ts'
import { collect, GrpcJsClient } from '../../support/grpc-js-client.ts'
import { decodeFields, encodeFields } from '../../../src/codec/grpc/index.ts'

const Orders = service(shop.Orders, {
  place: { errors: { OutOfStock: z.object({ left: z.number() }) }, deadlineMs: 5000 },
  find: { idempotency: 'no-side-effects' },
})

let broker: Awaited<ReturnType<typeof startBroker>>
let channel: Channel
let provider: Provider
let address = ''
/** How the last call wrote its messages. */
let lastPath = ''

before(async () => {
  broker = await startBroker({ listen: { amqp: false, rpc: 0, http: 0 } })
  address = `127.0.0.1:${portOf('rpc')}`
  channel = connectChannel(`rpc://${address}`)
  provider = serve(channel, Orders, {
    place({ sku, count }, context) {
      lastPath = context.path
      if (count > 5) throw context.error('OutOfStock', { left: 5 })
      return { id: `${sku}-${count}`, sku, count }
    },
    find: ({ id }) => {
      if (id === 'none') throw new RpcError('NOT_FOUND', 'no such order')
      return { id }
    },
  })
  await provider.ready
})

after(async () => {
  await provider.close()
  await channel.close()
  await broker.close()
})

function portOf(name: string): number {
  return broker.listeners.find((listener) => listener.name === name)!.address.port
}

test('what is generated is a contract: typed, by the names of TypeScript, with what the file cannot say', async () => {
  assert.equal(Orders.name, 'shop.v1.Orders')
  assert.deepEqual(Object.keys(Orders.methods), ['place', 'find'])
  const client = createClient(Orders, channel)
  // The types of protobuf-es: `count` is a number, `$typeName` the name.
  const order: shop.Order = await client.place({ sku: 'tea', count: 2 })
  assert.deepEqual([order.$typeName, order.id, order.count], ['shop.v1.Order', 'tea-2', 2])
  assert.equal(lastPath, '/shop.v1.Orders/Place')
  const error = await client.place({ sku: 'tea', count: 9 }).catch((thrown: unknown) => thrown)
  const declared = errorOf(Orders, 'place', error)
  const left: number | undefined = declared?.data.left
  assert.deepEqual([declared?.name, left], ['OutOfStock', 5])
  assert.throws(
    () => service(shop.Orders, { nothing: {} } as object),
    /shop\.v1\.Orders has no method 'nothing'/,
  )
})

for (const [name, make] of [
  [
    'Connect',
    (useBinaryFormat: boolean) =>
      createConnectTransport({ baseUrl: `http://${address}`, httpVersion: '1.1', useBinaryFormat }),
  ],
  [
    'gRPC',
    (useBinaryFormat: boolean) =>
      createGrpcTransport({ baseUrl: `http://${address}`, useBinaryFormat }),
  ],
  [
    'gRPC-Web',
    (useBinaryFormat: boolean) =>
      createGrpcWebTransport({ baseUrl: `http://${address}`, httpVersion: '1.1', useBinaryFormat }),
  ],
] as const) {
  for (const isBinary of [true, false]) {
    test(`${name} in ${isBinary ? 'protobuf' : 'JSON'}, by the same generated code`, async () => {
      const client = createConnectClient(shop.Orders, make(isBinary))
      assert.equal((await client.place({ sku: 'tea', count: 3 })).id, 'tea-3')
      const error = await client.find({ id: 'none' }).catch((thrown: unknown) => thrown)
      assert.ok(error instanceof ConnectError)
      assert.equal(error.code, Code.NotFound)
    })
  }
}

test('what has no side effects is asked for by GET, by the name of the file', async () => {
  const transport = createConnectTransport({
    ...{ baseUrl: `http://${address}`, httpVersion: '1.1', useHttpGet: true },
  })
  assert.equal((await createConnectClient(shop.Orders, transport).find({ id: '7' })).id, '7')
  const message = encodeURIComponent('{"id":"8"}')
  const url = `http://${address}/shop.v1.Orders/Find?encoding=json&message=${message}`
  assert.deepEqual(await (await fetch(url)).json(), { id: '8' })
})

test('the console is told the messages, and calls in JSON', async () => {
  const headers = {
    authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}`,
    'content-type': 'application/json',
  }
  const url = `http://127.0.0.1:${portOf('http')}/v1/services/%2F/shop.v1.Orders`
  const told = (await (await fetch(url, { headers })).json()) as {
    methods: Record<string, { in: { $defs: Record<string, { properties: object }> } }>
  }
  assert.deepEqual(told.methods['Place']?.in.$defs['shop.v1.PlaceRequest']?.properties, {
    sku: { type: 'string' },
    count: { type: 'integer' },
  })
  const body = JSON.stringify({ messages: [{ sku: 'tea', count: 4 }] })
  const called = await fetch(`${url}/Place`, { method: 'POST', headers, body })
  const [reply = ''] = (await called.text()).split('\n')
  assert.deepEqual((JSON.parse(reply) as { value: unknown }).value, {
    ...{ id: 'tea-4', sku: 'tea', count: 4 },
  })
})

/** The files that reflection has of a symbol; null: none. */
async function reflected(symbol: string): Promise<number | null> {
  using client = new GrpcJsClient(address, { 'grpc.max_receive_message_length': -1 })
  const stream = client.stream('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo')
  stream.write(encodeFields([[4, symbol]]))
  stream.end()
  const { replies } = await collect(stream)
  const [, answer] = decodeFields(replies[0]!)!
  return answer?.[0] === 4 ? decodeFields(answer[1] as Uint8Array)!.length : null
}

test('descriptors larger than any other frame are taken, and such that are too large are not', async () => {
  const Text = z.object({ text: z.string() })
  for (const [name, fieldCount, isShown] of [
    ['test.Large', 60, true],
    ['test.TooLarge', 200, false],
  ] as const) {
    const fields = Array.from({ length: fieldCount }, (_, at) => [
      `f${at}${'x'.repeat(at === 1 ? 0 : 3000)}`,
      z.string().optional(),
    ])
    const Wide = z.object(Object.fromEntries(fields) as Record<string, z.ZodOptional<z.ZodString>>)
    const contract = service(name, { say: rpc.unary({ in: Wide, out: Text }) })
    const wide = serve(channel, contract, { say: ({ f1 }) => ({ text: f1 ?? '' }) })
    await wide.ready
    assert.deepEqual(await createClient(contract, channel).say({ f1: 'hi' }), { text: 'hi' })
    assert.equal((await reflected(name)) !== null, isShown, name)
    await wide.close()
  }
})

test('a provider that attaches by gRPC hands its descriptors over, too', async () => {
  using client = new GrpcJsClient(address)
  const set = create(FileDescriptorSetSchema, { file: [shop.file_shop.proto] })
  const stream = client.stream('/waystation.rpc.v1.Provider/Attach')
  const registered = new Promise((resolve) => stream.once('data', resolve))
  const register = encodeFields([
    [1, 'shop.v1.Warehouse'],
    [9, toBinary(FileDescriptorSetSchema, set)],
  ])
  stream.write(encodeFields([[1, register]]))
  await registered
  assert.equal(await reflected('shop.v1.Warehouse'), 1)
  const ended = collect(stream)
  stream.cancel()
  await ended
})
