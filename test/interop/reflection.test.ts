/** grpcurl and curl at services whose `.proto` files they do not have: the broker knows them from the providers. */
import assert from 'node:assert/strict'
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { z } from 'zod'
import * as shop from '../../examples/shop/typescript/shop_pb.ts'
import {
  type Channel,
  connectChannel,
  listenChannel,
  rpc,
  RpcError,
  serve,
  service,
} from '../../src/client/index.ts'
import { deriveContract, protoText } from '../../src/client/contract-tools.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { cacheFolder } from './driver.ts'

const WITHIN_MS = 60_000
const MAIN = path.join(import.meta.dirname, '../../src/cli/main.ts')
const TOOLS = path.join(cacheFolder('go'), 'tools')

const execute = promisify(execFile)
const broker = new BrokerProcess()
const children: ChildProcess[] = []
before(() => broker.start())
after(async () => {
  for (const child of children) child.kill('SIGTERM')
  await broker[Symbol.asyncDispose]()
})

function isAbsent(context: TestContext, name: string): boolean {
  if (existsSync(path.join(TOOLS, name))) return false
  context.skip(`${name} is absent: no build in ${TOOLS} (test/interop/setup.sh fetches it)`)
  return true
}

async function grpcurl(...args: readonly string[]): Promise<string> {
  const file = path.join(TOOLS, 'grpcurl')
  const { stdout } = await execute(file, ['-plaintext', ...args], { timeout: WITHIN_MS })
  return stdout
}

async function startAndRead(
  command: string,
  args: readonly string[],
  line: RegExp,
): Promise<string> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  for await (const text of createInterface({ input: child.stdout })) {
    if (line.test(text)) return text
  }
  throw new Error(`${command} ended before it said ${String(line)}`)
}

function bodyOf(reply: string): string {
  return (JSON.parse(reply) as { payload: { body: string } }).payload.body
}

function serveShop(channel: Channel): ReturnType<typeof serve> {
  return serve(channel, service(shop.Orders), {
    place: ({ sku, count }) => ({ id: `${sku}-${count}`, sku, count }),
    find: ({ id }) => {
      throw new RpcError('NOT_FOUND', `no order ${id}`)
    },
  })
}

/** Lists, describes and calls the orders of the shop. */
async function checkShop(address: string): Promise<void> {
  assert.match(await grpcurl(address, 'list'), /^shop\.v1\.Orders$/m)
  assert.equal(
    await grpcurl(address, 'list', 'shop.v1.Orders'),
    'shop.v1.Orders.Find\nshop.v1.Orders.Place\n',
  )
  const described = await grpcurl(address, 'describe', 'shop.v1.Orders')
  assert.match(
    described,
    /rpc Place \( \.shop\.v1\.PlaceRequest \) returns \( \.shop\.v1\.Order \);/,
  )
  assert.match(await grpcurl(address, 'describe', 'shop.v1.Orders.Find'), /rpc Find/)
  assert.match(await grpcurl(address, 'describe', 'shop.v1.Order'), /uint32 count = 3;/)
  const placed = await grpcurl('-d', '{"sku":"tea","count":2}', address, 'shop.v1.Orders/Place')
  assert.deepEqual(JSON.parse(placed), { id: 'tea-2', sku: 'tea', count: 2 })
  await assert.rejects(grpcurl('-d', '{"id":"x"}', address, 'shop.v1.Orders/Find'), /NotFound/)
}

test(
  'grpcurl knows what a provider at the broker serves',
  { timeout: WITHIN_MS },
  async (context) => {
    if (isAbsent(context, 'grpcurl')) return
    await using channel = connectChannel(`rpc://127.0.0.1:${broker.rpcPort}`)
    const provider = serveShop(channel)
    await provider.ready
    await checkShop(`127.0.0.1:${broker.rpcPort}`)
    await provider.close()
  },
)

test(
  'grpcurl knows what a provider that listens serves',
  { timeout: WITHIN_MS },
  async (context) => {
    if (isAbsent(context, 'grpcurl')) return
    await using channel = await listenChannel()
    serveShop(channel)
    await checkShop(`127.0.0.1:${channel.port}`)
  },
)

test(
  'a server of grpc-go tells its descriptors through waystation attach, and takes JSON by it',
  { timeout: WITHIN_MS },
  async (context) => {
    if (isAbsent(context, 'grpcurl') || isAbsent(context, 'grpc')) return
    const port = await startAndRead(path.join(TOOLS, 'grpc'), ['serve'], /^\d+$/)
    await startAndRead(
      process.execPath,
      [
        ...[MAIN, 'attach', '--service', 'grpc.testing.TestService', '--to', port],
        ...['--broker', `rpc://127.0.0.1:${broker.rpcPort}`],
      ],
      / attached$/,
    )
    const address = `127.0.0.1:${broker.rpcPort}`
    const described = await grpcurl(address, 'describe', 'grpc.testing.TestService')
    assert.match(described, /rpc FullDuplexCall \( stream /)
    const request = '{"responseSize":3,"payload":{"body":"AAEC"}}'
    const reply = await grpcurl('-d', request, address, 'grpc.testing.TestService/UnaryCall')
    assert.equal(bodyOf(reply), 'AAAA')
    const answer = await fetch(`http://${address}/grpc.testing.TestService/UnaryCall`, {
      ...{ method: 'POST', body: request, headers: { 'content-type': 'application/json' } },
    })
    assert.equal(bodyOf(await answer.text()), 'AAAA')
    const wrong = await fetch(`http://${address}/grpc.testing.TestService/UnaryCall`, {
      ...{ method: 'POST', body: '{"responseSize":"x"}' },
      headers: { 'content-type': 'application/json' },
    })
    assert.equal(((await wrong.json()) as { code: string }).code, 'invalid_argument')
    const streamed = await execute(process.execPath, [
      ...[MAIN, 'call', 'grpc.testing.TestService/StreamingOutputCall'],
      ...['-d', '{"responseParameters":[{"size":1},{"size":2}]}', '--url', `rpc://${address}`],
    ])
    const lines = streamed.stdout.trim().split('\n')
    assert.deepEqual(lines.map(bodyOf), ['AA==', 'AAA='])
  },
)

const Stock = service('stock.v1.Stock', {
  count: rpc.unary({
    in: z.object({
      sku: z.string(),
      atLeast: z.int().default(1),
      shelves: z.array(z.object({ row: z.int32() })),
    }),
    out: z.object({
      left: z.int(),
      by: z.record(z.string(), z.number()),
      note: z.string().nullable(),
    }),
  }),
  watch: rpc.serverStream({ in: z.object({}), out: z.union([z.string(), z.number()]) }),
  told: rpc.oneway({ in: z.object({ what: z.string() }) }),
})

test(
  'a contract of schemas is called in protobuf, by reflection and by its file out of protoc',
  { timeout: WITHIN_MS },
  async (context) => {
    const python = path.join(cacheFolder('python'), 'bin/python')
    if (isAbsent(context, 'grpcurl')) return
    if (!existsSync(python)) return context.skip(`no Python at ${python} (test/interop/setup.sh)`)
    await using channel = connectChannel(`rpc://127.0.0.1:${broker.rpcPort}`)
    const told: string[] = []
    const provider = serve(channel, Stock, {
      count: ({ atLeast, shelves }) => ({
        ...{ left: atLeast + 2 ** 40, by: { rows: shelves.length }, note: null },
      }),
      *watch() {
        yield 'tea'
        yield 7
      },
      told: ({ what }) => void told.push(what),
    })
    await provider.ready
    const address = `127.0.0.1:${broker.rpcPort}`
    assert.match(
      await grpcurl(address, 'describe', 'stock.v1.StockCountRequest'),
      /optional int64 at_least = 2;/,
    )
    const folder = mkdtempSync(path.join(tmpdir(), 'waystation-proto-'))
    context.after(() => rmSync(folder, { recursive: true }))
    const file = path.join(folder, 'stock.proto')
    writeFileSync(file, protoText(deriveContract(Stock)))
    const set = path.join(folder, 'stock.binpb')
    const out = `--descriptor_set_out=${set}`
    const include = [`-I${folder}`, '--include_imports', '--experimental_allow_proto3_optional']
    await execute(python, ['-m', 'grpc_tools.protoc', ...include, out, file])
    for (const source of [[], ['-protoset', set]]) {
      const call = async (data: string, method: string): Promise<string> =>
        grpcurl(...source, '-d', data, address, `stock.v1.Stock/${method}`)
      const counted = await call('{"sku":"tea","shelves":[{"row":1},{}]}', 'count')
      assert.deepEqual(JSON.parse(counted), { left: `${2 ** 40 + 1}`, by: { rows: 2 } })
      assert.deepEqual((await call('{}', 'watch')).trim().split(/\s+/), ['"tea"', '7'])
      assert.deepEqual(JSON.parse(await call('{"what":"now"}', 'told')), {})
    }
    assert.deepEqual(told, ['now', 'now'])
    await provider.close()
  },
)
