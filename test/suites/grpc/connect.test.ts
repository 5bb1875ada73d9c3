/** Connect-ES in front of the broker: its three protocols, both versions of HTTP, JSON and binary. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { create, createFileRegistry, type DescMessage, type DescService } from '@bufbuild/protobuf'
import {
  FieldDescriptorProto_Label as LABEL,
  FieldDescriptorProto_Type as TYPE,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt'
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect'
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node'
import {
  type Channel,
  connectChannel,
  type Provider,
  rpc,
  RpcError,
  serve,
  service,
} from '../../../src/client/index.ts'
import { startBroker } from '../../../src/server/index.ts'
import { until } from '../../support/grpc-js-client.ts'

interface Text {
  readonly text: string
}
/** What a client made from descriptors at run time has. */
interface TextClient {
  unary(request: Text, options?: object): Promise<Text>
  down(request: Text, options?: object): AsyncIterable<Text>
  up(requests: AsyncIterable<Text>, options?: object): Promise<Text>
  both(requests: AsyncIterable<Text>, options?: object): AsyncIterable<Text>
  fail(request: Text): Promise<Text>
  sleep(request: Text, options?: object): Promise<Text>
}

const NAME = 'test.v1.Texts'
const KINDS = {
  Unary: [false, false],
  Down: [false, true],
  Up: [true, false],
  Both: [true, true],
  Fail: [false, false],
  Sleep: [false, false],
} as const

const registry = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: 'texts.proto',
    package: 'test.v1',
    syntax: 'proto3',
    messageType: [
      {
        name: 'Text',
        field: [
          { name: 'text', number: 1, type: TYPE.STRING, label: LABEL.OPTIONAL, jsonName: 'text' },
        ],
      },
    ],
    service: [
      {
        name: 'Texts',
        method: Object.entries(KINDS).map(([name, [clientStreaming, serverStreaming]]) => ({
          ...{ name, clientStreaming, serverStreaming },
          ...{ inputType: '.test.v1.Text', outputType: '.test.v1.Text' },
        })),
      },
    ],
  }),
  () => undefined,
)
const message = registry.getMessage('test.v1.Text') as DescMessage
const description = registry.getService(NAME) as DescService

let broker: Awaited<ReturnType<typeof startBroker>>
let channel: Channel
let provider: Provider
let baseUrl = ''
let sleepingCount = 0

before(async () => {
  broker = await startBroker({ listen: { amqp: false, rpc: 0 } })
  const { port } = broker.listeners.find(({ name }) => name === 'rpc')!.address
  baseUrl = `http://127.0.0.1:${port}`
  channel = connectChannel(`rpc://127.0.0.1:${port}`)
  provider = provide()
  await provider.ready
})

after(async () => {
  await provider.close(0)
  await channel.close()
  await broker.close()
})

function provide(): Provider {
  const both = { in: message, out: message }
  const contract = service(NAME, {
    Unary: rpc.unary(both),
    Down: rpc.serverStream(both),
    Up: rpc.clientStream(both),
    Both: rpc.bidi(both),
    Fail: rpc.unary(both),
    Sleep: rpc.unary(both),
  })
  const textOf = (input: unknown): string => (input as Text).text
  const say = (text: string): ReturnType<typeof create> => create(message, { text })
  return serve(channel, contract, {
    Unary: (input) => say(textOf(input)),
    async *Down(input) {
      for (let i = 0; i < 50; i++) yield say(`${textOf(input)}${i}`)
    },
    async Up(inputs) {
      let length = 0
      for await (const input of inputs) length += textOf(input).length
      return say(String(length))
    },
    async *Both(inputs) {
      for await (const input of inputs) yield say(textOf(input).toUpperCase())
    },
    Fail(input) {
      throw new RpcError('FAILED_PRECONDITION', textOf(input))
    },
    async Sleep(_input, { signal }) {
      sleepingCount += 1
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      sleepingCount -= 1
      return say('')
    },
  })
}

async function* texts(...all: readonly string[]): AsyncIterable<Text> {
  for (const text of all) yield { text }
}

async function collect(stream: AsyncIterable<Text>): Promise<string[]> {
  const got: string[] = []
  for await (const { text } of stream) got.push(text)
  return got
}

function transports(): (readonly [string, Transport, { readonly takesBidi: boolean }])[] {
  const all: (readonly [string, Transport, { readonly takesBidi: boolean }])[] = []
  for (const httpVersion of ['1.1', '2'] as const) {
    const more = { takesBidi: httpVersion === '2' }
    for (const useBinaryFormat of [true, false]) {
      const options = { baseUrl, httpVersion, useBinaryFormat }
      const form = `${useBinaryFormat ? 'binary' : 'JSON'} over HTTP/${httpVersion}`
      all.push([`Connect, ${form}`, createConnectTransport(options), more])
      all.push([`gRPC-Web, ${form}`, createGrpcWebTransport(options), more])
    }
  }
  all.push(['gRPC', createGrpcTransport({ baseUrl }), { takesBidi: true }])
  return all
}

const isError = (code: Code, text?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ConnectError)
  assert.equal(error.code, code, error.message)
  if (text !== undefined) assert.match(error.rawMessage, text)
  return true
}

test('every protocol of Connect-ES calls methods of every kind', async (context) => {
  for (const [name, transport, { takesBidi }] of transports()) {
    await context.test(name, async () => {
      // Made from descriptors at run time, so the compiler cannot know its methods.
      const client = createClient(description, transport) as unknown as TextClient
      const long = 'ä'.repeat(200_000)
      assert.equal((await client.unary({ text: long })).text, long)
      assert.equal((await client.unary({ text: '' })).text, '')
      const down = await collect(client.down({ text: 'n' }))
      assert.deepEqual(
        down,
        Array.from({ length: 50 }, (_, i) => `n${i}`),
      )
      assert.equal((await client.up(texts('a', 'bc', long))).text, '200003')
      if (takesBidi) assert.deepEqual(await collect(client.both(texts('a', 'b'))), ['A', 'B'])
      await assert.rejects(
        client.fail({ text: 'say ü' }),
        isError(Code.FailedPrecondition, /^say ü$/),
      )
      await assert.rejects(
        client.sleep({ text: '' }, { timeoutMs: 100 }),
        isError(Code.DeadlineExceeded),
      )
    })
  }
})

test('a client that goes away takes its call back, over each version of HTTP', async () => {
  for (const httpVersion of ['1.1', '2'] as const) {
    const transport = createConnectTransport({ baseUrl, httpVersion })
    const client = createClient(description, transport) as unknown as TextClient
    const abort = new AbortController()
    const call = client.sleep({ text: '' }, { signal: abort.signal, timeoutMs: 60_000 })
    const refused = assert.rejects(call, isError(Code.Canceled))
    await until(() => sleepingCount === 1, 'the call')
    abort.abort()
    await refused
    await until(() => sleepingCount === 0, 'the cancellation')
  }
})

test('a line of curl is a call, and what is none is told so', async () => {
  const headers = { 'content-type': 'application/json' }
  const post = async (path: string, body: string, more: object = {}): Promise<Response> =>
    fetch(`${baseUrl}${path}`, { method: 'POST', body, headers: { ...headers, ...more } })
  const good = await post(`/${NAME}/Unary`, '{"text":"hi"}')
  assert.deepEqual([good.status, await good.json()], [200, { text: 'hi' }])
  const nobody = await post('/test.v1.Nobody/Call', '{}')
  assert.equal(nobody.status, 503)
  assert.equal(((await nobody.json()) as { code: string }).code, 'unavailable')
  const late = await post(`/${NAME}/Sleep`, '{}', { 'connect-timeout-ms': '50' })
  assert.deepEqual(
    [late.status, ((await late.json()) as { code: string }).code],
    [504, 'deadline_exceeded'],
  )
  const wrong = `Basic ${Buffer.from('guest:wrong').toString('base64')}`
  assert.equal((await post(`/${NAME}/Unary`, '{}', { authorization: wrong })).status, 401)
  assert.equal(
    (await post(`/${NAME}/Unary`, '{}', { origin: 'http://elsewhere.example' })).status,
    403,
  )
  assert.equal((await post(`/${NAME}/Unary`, '{}', { 'content-type': 'text/plain' })).status, 415)
  assert.equal((await fetch(`${baseUrl}/`)).status, 404)
  const large = await post(`/${NAME}/Unary`, JSON.stringify({ text: 'x'.repeat(5_000_000) }))
  assert.equal(large.status, 429)
  assert.equal((await post(`/${NAME}/Unary`, '{"text":"still here"}')).status, 200)
})
