/** Durable calls of clients that know nothing of them but a header. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Metadata, type ServiceError, status as STATUS } from '@grpc/grpc-js'
import { attachGrpc } from '../../../src/client/attach-grpc.ts'
import {
  type Channel,
  connectChannel,
  rpc,
  RpcError,
  serve,
  service,
} from '../../../src/client/index.ts'
import { startBroker } from '../../../src/server/index.ts'
import { GrpcJsClient } from '../../support/grpc-js-client.ts'
import { GrpcJsServer } from '../../support/grpc-js-server.ts'

let broker: Awaited<ReturnType<typeof startBroker>>
let channel: Channel
let port = 0

before(async () => {
  broker = await startBroker({ listen: { amqp: false, rpc: 0 } })
  port = broker.port('rpc')
  channel = connectChannel(`rpc://127.0.0.1:${port}`)
})

after(async () => {
  await channel.close()
  await broker.close()
})

function metadata(entries: Readonly<Record<string, string>>): Metadata {
  const made = new Metadata()
  for (const [name, value] of Object.entries(entries)) made.set(name, value)
  return made
}

test('a call of grpc-js waits for a grpc-js server, and its answer is kept', async () => {
  using client = new GrpcJsClient(`127.0.0.1:${port}`)
  const fields = metadata({ 'waystation-durable': 'wait', 'idempotency-key': 'k' })
  const request = Buffer.from([8, 1])
  const impatient = client.unary('/test.Echo/Unary', request, {
    metadata: fields,
    options: { deadline: Date.now() + 200 },
  })
  await assert.rejects(impatient, (error: ServiceError) => {
    return error.code === STATUS.DEADLINE_EXCEEDED
  })
  const waiting = client.unary('/test.Echo/Unary', request, { metadata: fields })
  const server = new GrpcJsServer()
  const spec = { instanceId: 'one', version: '', labels: {}, weight: 1, services: ['test.Echo'] }
  const attached = attachGrpc({
    ...{ channel, capacity: 10, host: '127.0.0.1', port: await server.listen(), spec },
    onAttached: () => {},
    onDetached: () => {},
  })
  const first = await waiting
  assert.deepEqual(first.reply, request)
  assert.deepEqual(first.trailers.get('waystation-call-state'), ['done'])
  const [id] = first.head.get('waystation-call-id')
  await attached.close()
  server.kill()
  const second = await client.unary('/test.Echo/Unary', request, { metadata: fields })
  assert.deepEqual(second.reply, request)
  assert.deepEqual(second.head.get('waystation-call-id'), [id])
  const asked = metadata({ 'waystation-durable': 'outcome', 'waystation-call-id': String(id) })
  const third = await client.unary('/test.Echo/Unary', Buffer.alloc(0), { metadata: asked })
  assert.deepEqual(third.reply, request)
})

test('with HTTP alone a call is stored, looked after, cancelled and its outcome fetched', async () => {
  const post = async (headers: Readonly<Record<string, string>>, body = '{}'): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}/test.v1.Jobs/Run`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    })
  const accepted = await post({ 'waystation-durable': 'accept' }, '{"text":"a"}')
  assert.equal(accepted.status, 200)
  assert.deepEqual(await accepted.json(), {})
  const id = accepted.headers.get('waystation-call-id')!
  assert.equal(accepted.headers.get('waystation-call-state'), 'waiting')
  const about = (ask: string, of: string) => ({
    'waystation-durable': ask,
    'waystation-call-id': of,
  })
  const unwanted = await post({ 'waystation-durable': 'accept' }, '{"text":"b"}')
  const unwantedId = unwanted.headers.get('waystation-call-id')!
  const cancelled = await post(about('cancel', unwantedId))
  assert.equal(cancelled.headers.get('waystation-call-state'), 'done')

  const Json = {
    '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) },
  } as const
  const Jobs = service('test.v1.Jobs', { Run: rpc.unary({ in: Json, out: Json }) })
  const seen: unknown[] = []
  const provider = serve(channel, Jobs, {
    Run: (input) => {
      seen.push(input)
      if (seen.length > 1) throw new RpcError('NOT_FOUND', 'no such job')
      return { done: input }
    },
  })
  const outcome = await post(about('outcome', id))
  assert.deepEqual(await outcome.json(), { done: { text: 'a' } })
  const refused = await post({ 'waystation-durable': 'wait' }, '{"text":"c"}')
  assert.equal(refused.status, 404)
  assert.deepEqual(await refused.json(), { code: 'not_found', message: 'no such job' })
  const gone = await post(about('outcome', unwantedId))
  assert.equal(((await gone.json()) as { readonly code: string }).code, 'canceled')
  assert.deepEqual(seen, [{ text: 'a' }, { text: 'c' }])
  await provider.close()
})
