/** The cases of gRPC's interop suite that apply, by the client of Node, through the relay. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Metadata, type ServiceError, status as STATUS } from '@grpc/grpc-js'
import { decodeFields, encodeFields, type ProtobufField } from '../../../src/codec/grpc/index.ts'
import { CLOSED_REQUEST, type Callee, type RequestSink } from '../../../src/rpc/call.ts'
import { collect, GrpcJsClient, until } from '../../support/grpc-js-client.ts'
import { GrpcWorld } from '../../support/grpc-world.ts'
import { INTEROP_SERVICE, InteropService } from '../../support/interop-service.ts'

const EMPTY = Buffer.alloc(0)
const path = (method: string): string => `/${INTEROP_SERVICE}/${method}`

function simpleRequest(size: number, body: number, more: readonly ProtobufField[] = []): Buffer {
  return encodeFields([[2, size], [3, encodeFields([[2, Buffer.alloc(body)]])], ...more])
}

function outputRequest(sizes: readonly number[], body = 0): Buffer {
  const parameters = sizes.map((size) => [2, encodeFields([[1, size]])] as const)
  return encodeFields([...parameters, [3, encodeFields([[2, Buffer.alloc(body)]])]])
}

function bodySize(reply: Buffer): number {
  const [payload] = decodeFields(reply)!
  const body = decodeFields(payload![1] as Buffer)!.find(([number]) => number === 2)
  return (body![1] as Buffer).length
}

/** Answers nothing, and knows which calls were taken back. */
class SilentService implements Callee {
  openCount = 0

  open(): RequestSink {
    this.openCount += 1
    return { ...CLOSED_REQUEST, cancel: () => void this.openCount-- }
  }
}

async function openWorld(): Promise<{ world: GrpcWorld; client: GrpcJsClient }> {
  const world = await GrpcWorld.open()
  world.attach(INTEROP_SERVICE, new InteropService())
  return { world, client: new GrpcJsClient(world.address) }
}

async function withWorld(
  body: (parts: Awaited<ReturnType<typeof openWorld>>) => Promise<void>,
): Promise<void> {
  const parts = await openWorld()
  try {
    await body(parts)
  } finally {
    parts.client[Symbol.dispose]()
    await parts.world[Symbol.asyncDispose]()
  }
}

test('empty_unary and large_unary', async () => {
  await withWorld(async ({ client }) => {
    assert.equal((await client.unary(path('EmptyCall'), EMPTY)).reply.length, 0)
    const { reply } = await client.unary(path('UnaryCall'), simpleRequest(314_159, 271_828))
    assert.equal(bodySize(reply), 314_159)
  })
})

test('client_streaming, server_streaming, ping_pong and empty_stream', async () => {
  await withWorld(async ({ client }) => {
    const input = client.stream(path('StreamingInputCall'))
    for (const size of [27_182, 8, 1828, 45_904]) {
      input.write(encodeFields([[1, encodeFields([[2, Buffer.alloc(size)]])]]))
    }
    input.end()
    const { replies, code } = await collect(input)
    assert.equal(code, 0)
    assert.deepEqual(decodeFields(replies[0]!), [[1, 74_922]])

    const sizes = [31_415, 9, 2653, 58_979]
    const output = client.stream(path('StreamingOutputCall'))
    output.end(outputRequest(sizes))
    assert.deepEqual((await collect(output)).replies.map(bodySize), sizes)

    const duplex = client.stream(path('FullDuplexCall'))
    const got: number[] = []
    const ended = new Promise<number>((resolve) =>
      duplex.on('status', ({ code: end }) => resolve(end)),
    )
    duplex.on('error', () => {})
    duplex.on('data', (reply: Buffer) => {
      got.push(bodySize(reply))
      if (got.length === sizes.length) duplex.end()
      else duplex.write(outputRequest([sizes[got.length]!], 1000))
    })
    duplex.write(outputRequest([sizes[0]!], 1000))
    assert.equal(await ended, 0)
    assert.deepEqual(got, sizes)

    const empty = client.stream(path('FullDuplexCall'))
    empty.end()
    assert.deepEqual(await collect(empty), { replies: [], code: 0, details: '' })
  })
})

test('custom_metadata', async () => {
  await withWorld(async ({ client }) => {
    const metadata = new Metadata()
    metadata.set('x-grpc-test-echo-initial', 'test_initial_metadata_value')
    metadata.set('x-grpc-test-echo-trailing-bin', Buffer.from('ababab', 'hex'))
    const { head, trailers } = await client.unary(path('UnaryCall'), simpleRequest(1, 1), {
      metadata,
    })
    assert.deepEqual(head.get('x-grpc-test-echo-initial'), ['test_initial_metadata_value'])
    assert.deepEqual(trailers.get('x-grpc-test-echo-trailing-bin'), [Buffer.from('ababab', 'hex')])
  })
})

test('status_code_and_message and special_status_message', async () => {
  await withWorld(async ({ client }) => {
    const special = '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n'
    for (const text of ['test status message', special]) {
      const status = encodeFields([
        [1, 2],
        [2, text],
      ])
      const request = simpleRequest(0, 0, [[7, status]])
      const isIt = (error: ServiceError): boolean => error.code === 2 && error.details === text
      await assert.rejects(client.unary(path('UnaryCall'), request), isIt)
      const duplex = client.stream(path('FullDuplexCall'))
      duplex.end(encodeFields([[7, status]]))
      const { code, details } = await collect(duplex)
      assert.deepEqual([code, details], [2, text])
    }
  })
})

test('unimplemented_method, and a service that nobody provides', async () => {
  await withWorld(async ({ client }) => {
    const code = (expected: number) => (error: ServiceError) => error.code === expected
    await assert.rejects(client.unary(path('UnimplementedCall'), EMPTY), code(STATUS.UNIMPLEMENTED))
    const nobody = '/grpc.testing.UnimplementedService/UnimplementedCall'
    await assert.rejects(client.unary(nobody, EMPTY), code(STATUS.UNAVAILABLE))
  })
})

test('cancel_after_begin, cancel_after_first_response and timeout_on_sleeping_server', async () => {
  await withWorld(async ({ client, world }) => {
    const begun = client.stream(path('StreamingInputCall'))
    begun.cancel()
    assert.equal((await collect(begun)).code, STATUS.CANCELLED)

    const answered = client.stream(path('FullDuplexCall'))
    answered.on('data', () => answered.cancel())
    const code = new Promise<number>((resolve) => answered.on('status', (end) => resolve(end.code)))
    answered.on('error', () => {})
    answered.write(outputRequest([31_415], 27_182))
    assert.equal(await code, STATUS.CANCELLED)

    const slow = client.stream(path('FullDuplexCall'), { deadline: Date.now() + 100 })
    slow.write(outputRequest([], 27_182))
    assert.equal((await collect(slow)).code, STATUS.DEADLINE_EXCEEDED)

    const silent = new SilentService()
    world.attach('test.Silent', silent)
    const waiting = client.stream('/test.Silent/Wait')
    waiting.end(EMPTY)
    await until(() => silent.openCount === 1, 'the call')
    waiting.cancel()
    assert.equal((await collect(waiting)).code, STATUS.CANCELLED)
    await until(() => silent.openCount === 0, 'the cancellation')
  })
})

test('client_compressed_unary and client_compressed_streaming with gzip, answered alike', async () => {
  await withWorld(async ({ world }) => {
    const client = new GrpcJsClient(world.address, { 'grpc.default_compression_algorithm': 2 })
    const { reply, head } = await client.unary(path('UnaryCall'), simpleRequest(314_159, 271_828))
    assert.equal(bodySize(reply), 314_159)
    assert.ok(head !== null)
    client[Symbol.dispose]()
  })
})

test('messages to and fro without end keep within their windows', async () => {
  await withWorld(async ({ client }) => {
    const output = client.stream(path('StreamingOutputCall'))
    output.end(outputRequest(Array.from({ length: 300 }, () => 50_000)))
    const { replies, code } = await collect(output)
    assert.equal(code, 0)
    assert.equal(replies.length, 300)
    const input = client.stream(path('StreamingInputCall'))
    for (let i = 0; i < 300; i++) {
      input.write(encodeFields([[1, encodeFields([[2, Buffer.alloc(50_000)]])]]))
    }
    input.end()
    assert.deepEqual(decodeFields((await collect(input)).replies[0]!), [[1, 15_000_000]])
  })
})

test('a message above the limit ends its call, and the connection goes on', async () => {
  await withWorld(async ({ client }) => {
    const request = simpleRequest(1, 5_000_000)
    await assert.rejects(client.unary(path('UnaryCall'), request), (error: ServiceError) => {
      assert.equal(error.code, STATUS.RESOURCE_EXHAUSTED)
      return /received message larger than max \(\d+ vs\. 4194304\)/.test(error.details)
    })
    await client.unary(path('EmptyCall'), EMPTY)
  })
})

test('a stop of the broker lets calls end and takes no new ones', async () => {
  await withWorld(async ({ client, world }) => {
    const duplex = client.stream(path('FullDuplexCall'))
    const first = new Promise((resolve) => duplex.once('data', resolve))
    duplex.write(outputRequest([10]))
    await first
    const stopped = world.stop(30_000)
    const second = new Promise((resolve) => duplex.once('data', resolve))
    duplex.write(outputRequest([20]))
    await second
    duplex.end()
    assert.equal((await collect(duplex)).code, 0)
    await stopped
  })
})
