/** Tokens of an identity provider as logins of calls: by gRPC as others speak it, Connect, and our frames. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { StringValueSchema } from '@bufbuild/protobuf/wkt'
import {
  connectChannel,
  type ConnectOptions,
  createClient,
  rpc,
  type RpcError,
  serve,
  service,
} from '../../../src/client/index.ts'
import { startBroker } from '../../../src/server/index.ts'
import { waitFor } from '../../../src/testing/wait-for.ts'
import { put, type SecuredBroker } from './secured-broker.ts'
import { AUDIENCE, TokenIssuer } from './token-issuer.ts'
import { type TokenWorld, tokenWorld } from './token-world.ts'

const LISTEN = { rpc: 0, rpcs: 0 } as const
const Echo = service('test.v1.Echo', {
  echo: rpc.unary({ in: StringValueSchema, out: StringValueSchema }),
  slow: rpc.unary({ in: StringValueSchema, out: StringValueSchema, deadlineMs: 60_000 }),
})
const MAY_CALL = `${AUDIENCE}.write:%2F/rpc.test.v1.Echo`
const MAY_PROVIDE = `${AUDIENCE}.read:%2F/rpc.test.v1.Echo`
type World = Pick<SecuredBroker, 'broker'>
const HOUR_MS = 3_600_000
const REFUSED =
  'Login was refused using authentication mechanism Bearer. For details see the broker logfile.'

/** A stock client of gRPC, with a token in its call credentials. */
class TokenClient implements Disposable {
  readonly #client: Client

  constructor({ broker, authority }: TokenWorld, token: () => Promise<string>) {
    const bearer = credentials.createFromMetadataGenerator((_, callback) => {
      const metadata = new Metadata()
      token().then((text) => {
        metadata.set('authorization', `Bearer ${text}`)
        callback(null, metadata)
      }, callback)
    })
    const ssl = credentials.createSsl(Buffer.from(authority.certPem))
    this.#client = new Client(
      `localhost:${broker.port('rpcs')}`,
      credentials.combineChannelCredentials(ssl, bearer),
    )
  }

  /** The answer, or code and details. */
  async call(value: string, method = 'echo'): Promise<string> {
    const bytes = (given: Buffer): Buffer => given
    const request = Buffer.from(toBinary(StringValueSchema, create(StringValueSchema, { value })))
    return new Promise((resolve) => {
      const done = (error: ServiceError | null, reply?: Buffer): void => {
        if (error === null) resolve(fromBinary(StringValueSchema, reply!).value)
        else resolve(`${error.code} ${error.details}`)
      }
      const path = `/test.v1.Echo/${method}`
      const options = { deadline: Date.now() + 60_000 }
      this.#client.makeUnaryRequest(path, bytes, bytes, request, new Metadata(), options, done)
    })
  }

  [Symbol.dispose](): void {
    this.#client.close()
  }
}

/** What callers of the service said, and how to let its slow method go on. */
interface Provided {
  readonly metadata: string[][]
  readonly release: () => void
  /** How many calls of the slow method have begun. */
  readonly slowCount: () => number
}

async function provide(t: TestContext, world: World, options: ConnectOptions): Promise<Provided> {
  const channel = connectChannel(world.broker.url('rpc'), options)
  const metadata: string[][] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  let slowCount = 0
  const provider = serve(channel, Echo, {
    echo({ value }, context) {
      metadata.push([...context.metadata].map(([name, text]) => `${name}: ${String(text)}`))
      return { value }
    },
    async slow({ value }) {
      slowCount += 1
      await promise
      return { value }
    },
  })
  t.after(async () => {
    await provider.close(0)
    await channel.close()
  })
  await provider.ready
  return { metadata, release: resolve, slowCount: () => slowCount }
}

const MAY_PROVIDE_ONLY = { scope: MAY_PROVIDE, name: 'worker' }

async function connectCall(world: World, authorization: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${world.broker.port('rpc')}/test.v1.Echo/echo`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization },
    body: '"hi"',
  })
  return `${answer.status} ${await answer.text()}`
}

/** By our frames; `password` is how clients without tokens show one. */
async function framesCall(world: World, options: ConnectOptions): Promise<string> {
  await using channel = connectChannel(world.broker.url('rpc'), options)
  const echo = createClient(Echo, channel, { policy: { retry: false } })
  return await echo.echo({ value: 'hi' }).then(
    ({ value }) => value,
    (error: unknown) => `${(error as RpcError).code} ${(error as RpcError).message}`,
  )
}

test('a token is a login of every way to call, with what its scopes allow', async (t) => {
  const world = await tokenWorld(t, LISTEN)
  const { issuer } = world
  const provided = await provide(t, world, { token: async () => issuer.token(MAY_PROVIDE_ONLY) })
  const good = await issuer.token({ scope: `openid ${MAY_CALL}` })
  const weak = await issuer.token({ scope: MAY_PROVIDE })
  const stranger = await (await TokenIssuer.make('first')).token({ scope: MAY_CALL })
  const late = await issuer.token({ scope: MAY_CALL, lifetimeMs: -60_000 })

  const grpc = async (token: string): Promise<string> => {
    using client = new TokenClient(world, async () => token)
    return await client.call('hi')
  }
  assert.equal(await grpc(good), 'hi')
  assert.match(await grpc(weak), /^7 write access to queue 'rpc.test.v1.Echo' .* for user 'robot'$/)
  for (const bad of [stranger, late, 'no-token']) assert.equal(await grpc(bad), `16 ${REFUSED}`)

  assert.equal(await connectCall(world, `Bearer ${good}`), '200 "hi"')
  assert.match(await connectCall(world, `Bearer ${weak}`), /^403 .*permission_denied/)
  for (const bad of [stranger, late, '', 'two words']) {
    assert.match(await connectCall(world, `Bearer ${bad}`), /^401 .*unauthenticated/, bad)
  }
  // RabbitMQ's way: the token is the password.
  const basic = Buffer.from(`ignored:${good}`).toString('base64')
  assert.equal(await connectCall(world, `Basic ${basic}`), '200 "hi"')

  assert.equal(await framesCall(world, { token: good }), 'hi')
  assert.equal(await framesCall(world, { user: 'ignored', password: good }), 'hi')
  assert.match(await framesCall(world, { token: weak }), /^PERMISSION_DENIED write access/)
  for (const bad of [stranger, late]) {
    assert.match(await framesCall(world, { token: bad }), /^UNAUTHENTICATED Login was refused/)
  }
  await assert.rejects(provide(t, world, { token: good }), { code: 'PERMISSION_DENIED' })
  // It was for the broker, and is nobody else's business.
  assert.deepEqual(
    provided.metadata.flat().filter((text) => /^authorization|ey/i.test(text)),
    [],
  )
})

test('a token has no rights of the stored user whose name it has', async (t) => {
  const world = await tokenWorld(t, LISTEN)
  await provide(t, world, { token: async () => world.issuer.token(MAY_PROVIDE_ONLY) })
  await put(world.broker, 'users/robot', { password: 'the-password-of-robot', tags: [] })
  const everything = { configure: '.*', write: '.*', read: '.*' }
  await put(world.broker, 'permissions/%2F/robot', everything)
  assert.equal(await framesCall(world, { user: 'robot', password: 'the-password-of-robot' }), 'hi')
  const token = await world.issuer.token({ name: 'robot', scope: MAY_PROVIDE })
  const basic = Buffer.from(`robot:${token}`).toString('base64')
  assert.match(await connectCall(world, `Bearer ${token}`), /^403/)
  assert.match(await connectCall(world, `Basic ${basic}`), /^403/)
  assert.match(await framesCall(world, { token }), /^PERMISSION_DENIED/)
  assert.match(await framesCall(world, { user: 'robot', password: token }), /^PERMISSION_DENIED/)
})

test('when a token ends no call begins with it, and those that have begun go on', async (t) => {
  const world = await tokenWorld(t, LISTEN)
  const { issuer, clock } = world
  let asked = 0
  const provided = await provide(t, world, {
    token: async () => {
      asked += 1
      return issuer.token({ ...MAY_PROVIDE_ONLY, lifetimeMs: clock.shiftMs + 10 * HOUR_MS })
    },
  })
  const token = await issuer.token({ scope: MAY_CALL, lifetimeMs: HOUR_MS })
  using client = new TokenClient(world, async () => token)
  await using channel = connectChannel(world.broker.url('rpc'), { token })
  const echo = createClient(Echo, channel, { policy: { retry: false } })
  const slow = [client.call('a', 'slow'), echo.slow({ value: 'b' }).then(({ value }) => value)]
  await waitFor(() => provided.slowCount() === 2, {
    timeoutMs: 30_000,
    expected: () => 'two calls',
    found: () => String(provided.slowCount()),
  })
  clock.shiftMs = HOUR_MS + 1000
  assert.equal(await client.call('c'), `16 the token of user 'robot' has expired`)
  assert.equal(await client.call('c'), `16 the token of user 'robot' has expired`)
  let said = ''
  await waitFor(
    async () => {
      said = await echo.echo({ value: 'c' }).then(
        () => 'answered',
        (error: unknown) => (error as RpcError).code,
      )
      return said === 'UNAUTHENTICATED'
    },
    { timeoutMs: 30_000, expected: () => 'UNAUTHENTICATED', found: () => said },
  )
  provided.release()
  assert.deepEqual(await Promise.all(slow), ['a', 'b'])

  // A provider whose token ends comes again with another one.
  clock.shiftMs = 11 * HOUR_MS
  const next = await issuer.token({ scope: MAY_CALL, lifetimeMs: 100 * HOUR_MS })
  await waitFor(() => asked === 2, {
    timeoutMs: 30_000,
    expected: () => 'another token',
    found: () => String(asked),
  })
  await using later = connectChannel(world.broker.url('rpc'), { token: next })
  assert.deepEqual((await createClient(Echo, later).echo({ value: 'd' })).value, 'd')
})

test('a connection may renew its token as often as it likes', async (t) => {
  const world = await tokenWorld(t, LISTEN)
  await provide(t, world, { token: async () => world.issuer.token(MAY_PROVIDE_ONLY) })
  using client = new TokenClient(world, async () => world.issuer.token({ scope: MAY_CALL }))
  for (let count = 0; count < 40; count++) assert.equal(await client.call('hi'), 'hi')
})

test('our client of gRPC shows a token too', async (t) => {
  const world = await tokenWorld(t, LISTEN)
  await provide(t, world, { token: async () => world.issuer.token(MAY_PROVIDE_ONLY) })
  const token = async (): Promise<string> => world.issuer.token({ scope: MAY_CALL })
  await using channel = connectChannel(`grpc://127.0.0.1:${world.broker.port('rpc')}`, { token })
  assert.equal((await createClient(Echo, channel).echo({ value: 'hi' })).value, 'hi')
})

test('without an identity provider a bearer token is for whoever provides the service', async (t) => {
  const broker = await startBroker({ listen: { amqp: false, rpc: 0 } })
  t.after(async () => broker.close({ timeoutMs: 0 }))
  const world = { broker }
  const provided = await provide(t, world, {})
  assert.equal(await connectCall(world, 'Bearer theirs'), '200 "hi"')
  assert.ok(provided.metadata.flat().includes('authorization: Bearer theirs'))
})
