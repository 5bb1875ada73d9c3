/** Providers that attach by a stream of gRPC, made of a library of other people and our `.proto` file. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Metadata, status as STATUS, type ServiceError } from '@grpc/grpc-js'
import { hopOf } from '../../../src/client/index.ts'
import { decodeDetails } from '../../../src/codec/grpc/index.ts'
import { AttachPeer } from '../../support/attach-peer.ts'
import { collect, GrpcJsClient, until } from '../../support/grpc-js-client.ts'
import { GrpcWorld } from '../../support/grpc-world.ts'

interface World extends AsyncDisposable {
  readonly broker: GrpcWorld
  readonly caller: GrpcJsClient
  readonly provider: GrpcJsClient
}

async function open(limits: Parameters<typeof GrpcWorld.open>[0] = {}): Promise<World> {
  const broker = await GrpcWorld.open(limits)
  const caller = new GrpcJsClient(broker.address)
  const provider = new GrpcJsClient(broker.address, { 'grpc.max_receive_message_length': -1 })
  return {
    ...{ broker, caller, provider },
    [Symbol.asyncDispose]: async () => {
      caller[Symbol.dispose]()
      provider[Symbol.dispose]()
      await broker[Symbol.asyncDispose]()
    },
  }
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** Code, text, and the stage of the hop if there is one. */
async function refusal(answer: Promise<unknown>): Promise<string> {
  const error = (await answer.then(
    () => assert.fail('it was answered'),
    (reason: unknown) => reason,
  )) as ServiceError
  const [bytes] = error.metadata.get('grpc-status-details-bin')
  const hop = bytes instanceof Buffer ? hopOf({ details: decodeDetails(bytes) }) : null
  return `${error.code} ${error.details}${hop === null ? '' : ` (${hop.stage})`}`
}

test('calls of all kinds are answered, with metadata, details and trailers', async () => {
  await using world = await open()
  const { caller, provider } = world
  const labels = { zone: 'eu' }
  const register = { instanceId: 'py-1', version: '1.4', labels, weight: 3, policy: 'weighted' }
  const descriptors = base64('no descriptors')
  const peer = (await AttachPeer.attach(provider, { ...register, descriptors })).echo()
  assert.equal(peer.said[0]?.registered?.instanceId, 'py-1')
  const { registry } = world.broker.core.host('/')
  const [attached] = registry.attachments
  const { services, ...info } = attached!.info
  assert.deepEqual([...services], ['test.Echo'])
  assert.deepEqual(info, { ...register, user: 'guest' })

  const sent = Buffer.alloc(100_000, 7)
  assert.deepEqual((await caller.unary('/test.Echo/Unary', sent)).reply, sent)
  const chat = caller.stream('/test.Echo/Chat')
  for (let i = 0; i < 50; i++) chat.write(Buffer.alloc(20_000, i))
  chat.end()
  const { replies, code } = await collect(chat)
  assert.equal(code, 0)
  assert.equal(replies.filter((reply) => reply.length > 0).length, 50)

  peer.onMessage = ({ request }) => {
    if (request?.last !== true) return
    const { id } = request
    peer.send({ head: { id, metadata: [{ name: 'seen', text: 'yes' }] } })
    peer.send({
      end: {
        ...{ id, code: 9, text: 'no tea' },
        details: [{ typeUrl: 'type.example/x.Y', value: base64('!') }],
        trailers: [{ name: 'sum-bin', octets: base64('12') }],
      },
    })
  }
  const metadata = new Metadata()
  metadata.set('tenant', 'acme')
  const error = (await caller
    .unary('/test.Echo/Unary', Buffer.from('x'), { metadata })
    .catch((reason: unknown) => reason)) as ServiceError
  assert.deepEqual([error.code, error.details], [STATUS.FAILED_PRECONDITION, 'no tea'])
  assert.deepEqual(error.metadata.get('sum-bin'), [Buffer.from('12')])
  const [details] = error.metadata.get('grpc-status-details-bin')
  assert.deepEqual(decodeDetails(details as Buffer), [
    { type: 'type.example/x.Y', value: Uint8Array.from(Buffer.from('!')) },
  ])
  const said = peer.calls.at(-1)!
  assert.equal(said.path, '/test.Echo/Unary')
  assert.equal(said.contentType, 'proto')
  assert.ok(said.timeoutMs > 0 && said.timeoutMs <= 10_000)
  assert.ok(said.metadata?.some(({ name, text }) => name === 'tenant' && text === 'acme'))
})

test('it gets as many calls as it says, and drains', async () => {
  await using world = await open()
  const { caller, provider } = world
  const peer = await AttachPeer.attach(provider, { capacity: 0 })
  const answers = [1, 2, 3].map(async (n) => caller.unary('/test.Echo/Unary', Buffer.of(n)))
  const { relay, registry } = world.broker.core.host('/')
  await until(() => relay.openCount === 3, 'three calls that wait')
  assert.equal(peer.calls.length, 0)
  peer.send({ capacity: { capacity: 1 } })
  for (const n of [1, 2]) {
    await until(() => peer.calls.length === n, `call ${n}`)
    const { id } = peer.calls.at(-1)!
    peer.send({ end: { id, message: base64(String(n)) } })
  }
  await until(() => peer.calls.length === 3, 'the last call')
  // No more come, those that are there are answered, and then the stream is over.
  peer.send({ drain: {} })
  await until(() => [...registry.attachments].length === 0, 'the end of the registration')
  assert.match(await refusal(caller.unary('/test.Echo/Unary', Buffer.of(4))), /^14 .*\(unrouted\)$/)
  peer.send({ end: { id: peer.calls.at(-1)!.id, message: base64('3') } })
  const replies = await Promise.all(answers)
  assert.deepEqual(
    replies.map(({ reply }) => reply.toString()),
    ['1', '2', '3'],
  )
  await until(() => peer.end !== null, 'the end of the stream')
  assert.equal(peer.end, '0 ')
})

test('a provider that is killed, says no more, or refuses: each call learns how far it came', async () => {
  await using world = await open()
  const { caller, provider } = world
  const ask = async (): Promise<string> => refusal(caller.unary('/test.Echo/Unary', Buffer.of(1)))
  const killed = await AttachPeer.attach(provider)
  killed.onMessage = ({ request }) => {
    if (request !== undefined) killed.kill()
  }
  assert.match(await ask(), /^14 the provider (?:is gone|has ended its stream).*\(delivered\)$/)
  const begun = await AttachPeer.attach(provider)
  begun.onMessage = ({ request }) => {
    if (request === undefined) return
    begun.send({ head: { id: request.id, metadata: [] } })
    begun.halfClose()
  }
  assert.match(await ask(), /^14 the provider has ended its stream \(started\)$/)
  await until(() => begun.end !== null, 'the end of the stream')

  const refusing = await AttachPeer.attach(provider)
  refusing.onMessage = ({ request }) => {
    if (request !== undefined) refusing.send({ end: { id: request.id, refused: true } })
  }
  assert.match(await ask(), /^14 .*\(queued\)$/)
  const other = (await AttachPeer.attach(provider)).echo()
  for (let count = 0; count < 4; count++) {
    const { reply } = await caller.unary('/test.Echo/Unary', Buffer.of(count))
    assert.deepEqual(reply, Buffer.of(count))
  }
  assert.equal(other.calls.length, 4)
  assert.ok(refusing.calls.length > 1, 'it was asked, and turned the calls away')
})

test('cancellation and the deadline reach it, and what it says too late does nothing', async () => {
  await using world = await open()
  const { caller, provider } = world
  const peer = await AttachPeer.attach(provider)
  const call = caller.stream('/test.Echo/Chat')
  const ended = collect(call)
  await until(() => peer.calls.length === 1, 'the call')
  call.cancel()
  assert.equal((await ended).code, STATUS.CANCELLED)
  const cancelled = (): boolean => peer.said.some(({ cancel }) => cancel?.id === peer.calls[0]!.id)
  await until(cancelled, 'the cancellation')
  peer.send({ end: { id: peer.calls[0]!.id } })

  const options = { deadline: Date.now() + 200 }
  const late = caller.unary('/test.Echo/Unary', Buffer.of(1), { options })
  assert.match(await refusal(late), /^4 /)
  await until(() => peer.said.filter(({ cancel }) => cancel !== undefined).length === 2, 'the end')
  peer.send({ end: { id: peer.calls[1]!.id } })
  peer.echo()
  assert.deepEqual((await caller.unary('/test.Echo/Unary', Buffer.of(2))).reply, Buffer.of(2))
})

test('replies go as far as there is credit, requests as far as somebody reads', async () => {
  await using world = await open()
  const { caller, provider } = world
  const part = base64('x'.repeat(20_000))
  const peer = await AttachPeer.attach(provider)
  // Far more than a window, to a caller that reads it all, by whoever counts.
  let room = 262_144
  let left = 200
  let isEnded = false
  const go = (id: number): void => {
    for (; room > 0 && left > 0; left--) {
      room -= 20_032
      peer.send({ reply: { id, message: part } })
    }
    if (left > 0 || isEnded) return
    isEnded = true
    peer.send({ end: { id } })
  }
  peer.onMessage = ({ call, credit }) => {
    room += credit?.octets ?? 0
    const id = call?.id ?? credit?.id
    if (id !== undefined) go(id)
  }
  const all = await collect(caller.stream('/test.Echo/Chat'))
  assert.deepEqual([all.code, all.replies.length], [0, 200])

  peer.onMessage = ({ call }) => {
    if (call === undefined) return
    for (let count = 0; count < 100; count++) peer.send({ reply: { id: call.id, message: part } })
  }
  const greedy = caller.stream('/test.Echo/Chat')
  let end = ''
  greedy.on('error', ({ code, details }: ServiceError) => (end = `${code} ${details}`))
  greedy.pause()
  await until(() => peer.said.at(-1)?.cancel !== undefined, 'the end of the greedy call')
  greedy.resume()
  await until(() => end !== '', 'the status of the greedy call')
  assert.equal(end, '8 more was sent than the window of the call has room for')

  // Somebody who reads nothing gets no new calls, and holds nobody up.
  const other = (await AttachPeer.attach(provider)).echo()
  peer.onMessage = () => {}
  peer.pause()
  const requests = Array.from({ length: 60 }, async () =>
    caller.unary('/test.Echo/Unary', Buffer.alloc(100_000), {
      options: { deadline: Date.now() + 30_000 },
    }),
  )
  await until(() => other.calls.length >= 30, 'the calls that go to the other one')
  peer.kill()
  const outcomes = await Promise.allSettled(requests)
  assert.ok(outcomes.filter(({ status }) => status === 'fulfilled').length >= 30)
})

test('what is too large ends its call, not the stream', async () => {
  await using world = await open({ messageBytesMax: 50_000 })
  const { caller, provider } = world
  const peer = await AttachPeer.attach(provider, { messageBytesMax: 20_000 })
  assert.equal(peer.said[0]?.registered?.messageBytesMax, 50_000)
  peer.onMessage = ({ request }) => {
    if (request === undefined) return
    const size = Number(Buffer.from(request.message ?? '', 'base64').toString())
    peer.send({ end: { id: request.id, message: base64('x'.repeat(size)) } })
  }
  const ask = async (text: string) => caller.unary('/test.Echo/Unary', Buffer.from(text))
  assert.equal((await ask('50000')).reply.length, 50_000)
  assert.match(await refusal(ask('50001')), /^8 a message of 50001 bytes, the limit is 50000/)
  assert.match(await refusal(ask('1'.repeat(20_000))), /^8 .*the limit of the provider is 20000/)
  assert.equal((await ask('10')).reply.length, 10)
  assert.equal(peer.end, null)
})

test('whoever does not keep to the protocol is told what is wrong, and is no provider', async () => {
  await using world = await open()
  const { broker, caller, provider } = world
  const REGISTER = { register: { services: ['test.Echo'], capacity: 1 } }
  const endOf = async (...messages: (object | Uint8Array)[]): Promise<string> => {
    const peer = new AttachPeer(provider)
    for (const message of messages) {
      if (message instanceof Uint8Array) peer.write(message)
      else peer.send(message)
    }
    await until(() => peer.end !== null, `the end of ${JSON.stringify(messages)}`)
    return peer.end!
  }
  assert.equal(await endOf({ drain: {} }), '3 the first message must be Register')
  assert.equal(await endOf(Buffer.from('GET / HTTP')), '3 a message that is no FromProvider')
  assert.equal(await endOf(Buffer.alloc(0)), '3 a message that is no FromProvider')
  assert.equal(await endOf(REGISTER, REGISTER), '3 a second Register on the stream')
  assert.equal(await endOf(REGISTER, { end: { id: 7 } }), '3 there was no call 7')
  assert.equal(await endOf(REGISTER, { reply: { id: 0 } }), '3 there was no call 0')
  const registering = async (register: object): Promise<string> => endOf({ register })
  assert.equal(await registering({}), '3 a provider of no service')
  assert.match(await registering({ services: ['no name'] }), /^3 'no name' is no name/)
  assert.match(await registering({ services: ['waystation.rpc.v1.Provider'] }), /^7 /)
  assert.match(await registering({ services: ['a.B'], policy: 'best' }), /^3 the policy 'best'/)
  const long = { services: ['a.B'], version: 'x'.repeat(300_000) }
  assert.match(await registering(long), /^3 a Register of \d+ bytes, the limit is 262144/)
  await broker.users.setPermissions('guest', '/', { configure: '', write: '.*', read: '^rpc.b.C$' })
  assert.match(await registering({ services: ['a.B'] }), /^7 read access to queue 'rpc.a.B'/)
  assert.deepEqual([...broker.core.host('/').registry.attachments], [])
  // Nor does anybody get hurt by what is not of a call that is there.
  const peer = (await AttachPeer.attach(provider, { services: ['b.C'] })).echo()
  assert.deepEqual((await caller.unary('/b.C/D', Buffer.of(1))).reply, Buffer.of(1))
  peer.onMessage = ({ request }) => {
    const entry = { name: 'bad name!', text: 'x' }
    if (request !== undefined) peer.send({ end: { id: request.id, trailers: [entry] } })
  }
  assert.match(await refusal(caller.unary('/b.C/D', Buffer.of(1))), /^13 of the provider: /)
})

test('a broker that stops tells providers, and waits for the calls they have', async () => {
  await using world = await open()
  const { caller, provider } = world
  const peer = await AttachPeer.attach(provider)
  const answer = caller.unary('/test.Echo/Unary', Buffer.of(1))
  await until(() => peer.calls.length === 1, 'the call')
  const stopped = world.broker.stop(60_000)
  await until(() => peer.said.some(({ drain }) => drain !== undefined), 'the word of the end')
  peer.send({ end: { id: peer.calls[0]!.id, message: base64('late') } })
  assert.equal((await answer).reply.toString(), 'late')
  await stopped
  await until(() => peer.end !== null, 'the end of the stream')
  assert.match(peer.end!, /^14 /)
})
