/** Callers that find the instances of a service themselves: by a list, by DNS, by a broker's registry. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import {
  balancedChannel,
  type BalancedOptions,
  type Channel,
  connectChannel,
  createClient,
  type Discovery,
  dnsInstances,
  listenChannel,
  type ListeningChannel,
  registerInstance,
  registryInstances,
  rpc,
  serve,
  service,
  srvInstances,
  staticInstances,
} from '../../../src/client/index.ts'
import { startBroker } from '../../../src/server/index.ts'
import { waitFor } from '../../../src/testing/wait-for.ts'
import { NameServer } from '../../support/name-server.ts'

const Text = z.object({ text: z.string() })
const Who = service('test.v1.Who', { who: rpc.unary({ in: Text, out: Text }) })

interface Listening {
  readonly channel: ListeningChannel
  readonly url: string
}

/** An instance that answers with its name. */
async function listen(
  t: TestContext,
  name: string,
  host = '127.0.0.1',
  port = 0,
): Promise<Listening> {
  const channel = await listenChannel({ host, port, password: 'guest' })
  t.after(async () => channel.close())
  serve(channel, Who, { who: () => ({ text: name }) })
  return { channel, url: channel.url }
}

function balanced(t: TestContext, discovery: Discovery, options: BalancedOptions = {}): Channel {
  const channel = balancedChannel(discovery, options)
  t.after(async () => channel.close())
  return channel
}

/** Who answers in a row; the name, or the status code. */
async function asked(channel: Channel, count = 1): Promise<string[]> {
  const client = createClient(Who, channel, { policy: { retry: false } })
  const answers: string[] = []
  for (let at = 0; at < count; at++) {
    const answer = client.who({ text: '' }).then(
      ({ text }) => text,
      (error: unknown) => (error as { readonly code: string }).code,
    )
    answers.push(await answer)
  }
  return answers
}

/** Waits until exactly these answer. */
async function answeredBy(channel: Channel, ...names: string[]): Promise<void> {
  let seen: string[] = []
  await waitFor(
    async () => {
      seen = [...new Set(await asked(channel, names.length * 3))].toSorted()
      return seen.join() === names.join()
    },
    { timeoutMs: 30_000, expected: () => names.join(), found: () => seen.join() },
  )
}

test('a list: calls go to all that are there, by our frames and by gRPC', async (t) => {
  const a = await listen(t, 'a')
  const b = await listen(t, 'b')
  const urls = [a.url, b.url.replace('rpc:', 'grpc:'), 'rpc://127.0.0.1:1', 'other://127.0.0.1:1']
  const lost: string[] = []
  const channel = balanced(t, staticInstances(urls), {
    policy: 'round-robin',
    onLost: (error) => lost.push(error.message),
  })
  await answeredBy(channel, 'a', 'b')
  assert.deepEqual((await asked(channel, 4)).toSorted(), ['a', 'a', 'b', 'b'])
  assert.ok(lost.some((text) => text.includes("'other:")))
  const everybody = await createClient(Who, channel).who.broadcast({ text: '' })
  const answers = everybody.map((one) => (one.status === 'fulfilled' ? one.value.text : ''))
  assert.deepEqual(answers.toSorted(), ['a', 'b'])
  // One that goes costs nobody a call, and is used again when it is back.
  await b.channel.close()
  for (const answer of await asked(channel, 10))
    assert.ok(answer === 'a' || answer === 'UNAVAILABLE')
  await answeredBy(channel, 'a')
  await listen(t, 'b', '127.0.0.1', b.channel.port)
  await answeredBy(channel, 'a', 'b')
  await a.channel.close()
  await answeredBy(channel, 'b')
})

test('weights, keys and nobody at all', async (t) => {
  const a = await listen(t, 'a')
  const b = await listen(t, 'b')
  const instances = [{ url: a.url, weight: 3 }, b.url]
  const weighted = balanced(t, staticInstances(instances), { policy: 'weighted' })
  await answeredBy(weighted, 'a', 'b')
  const answers = await asked(weighted, 40)
  assert.equal(answers.filter((name) => name === 'a').length, 30)

  const hashed = balanced(t, staticInstances([a.url, b.url]), { policy: 'consistent-hash' })
  await answeredBy(hashed, 'a', 'b')
  const client = createClient(Who, hashed)
  for (const key of ['x', 'y', 'z']) {
    const names = await Promise.all([1, 2, 3].map(async () => client.who({ text: '' }, { key })))
    assert.equal(new Set(names.map(({ text }) => text)).size, 1)
  }
  const nobody = balanced(t, staticInstances([]))
  assert.deepEqual(await asked(nobody), ['UNAVAILABLE'])
  const away = balanced(t, staticInstances(['rpc://127.0.0.1:1']))
  assert.deepEqual(await asked(away, 2), ['UNAVAILABLE', 'UNAVAILABLE'])
})

test('DNS: addresses come and go, and a name server that fails changes nothing', async (t) => {
  const names = await NameServer.open()
  t.after(() => names.close())
  const first = await listen(t, '1')
  const { port } = first.channel
  await listen(t, '2', '127.0.0.2', port)
  await listen(t, '3', '127.0.0.3', port)
  const options = { servers: [names.address], intervalMs: 40 }
  const channel = balanced(t, dnsInstances(`rpc://who.example:${port}`, options), {
    policy: 'round-robin',
  })
  // The name is not there yet.
  assert.deepEqual(await asked(channel), ['UNAVAILABLE'])
  names.addresses.set('who.example', ['127.0.0.1', '127.0.0.2'])
  await answeredBy(channel, '1', '2')
  names.addresses.set('who.example', ['127.0.0.2', '127.0.0.3'])
  await answeredBy(channel, '2', '3')
  names.isBroken = true
  const before = names.queryCount
  await waitFor(() => names.queryCount > before + 4, {
    timeoutMs: 30_000,
    expected: () => 'more questions',
    found: () => String(names.queryCount),
  })
  names.addresses.clear()
  names.isBroken = false
  assert.deepEqual([...new Set(await asked(channel, 6))].toSorted(), ['2', '3'])
})

test('a name is asked for again when its time is over, not sooner', async (t) => {
  const names = await NameServer.open()
  t.after(() => names.close())
  const { channel: one } = await listen(t, '1')
  names.addresses.set('who.example', ['127.0.0.1'])
  const slow = dnsInstances(`rpc://who.example:${one.port}`, { servers: [names.address] })
  const channel = balanced(t, slow)
  await answeredBy(channel, '1')
  const { queryCount } = names
  await asked(channel, 50)
  assert.equal(names.queryCount, queryCount)
  assert.ok(queryCount <= 2, 'A and AAAA, once each')
})

test('SRV: ports and weights of the best priority that can be found', async (t) => {
  const names = await NameServer.open()
  t.after(() => names.close())
  const a = await listen(t, 'a')
  const b = await listen(t, 'b')
  const c = await listen(t, 'c')
  names.addresses.set('here.example', ['127.0.0.1'])
  const record = ({ channel }: Listening, target: string, priority: number, weight = 0) => {
    return { target, port: channel.port, priority, weight }
  }
  names.services.set('_who._tcp.example', [
    record(c, 'here.example', 20),
    record(a, 'here.example', 10, 3),
    record(b, 'here.example', 10, 1),
  ])
  const options = { servers: [names.address], intervalMs: 40 }
  const channel = balanced(t, srvInstances('rpc://_who._tcp.example', options), {
    policy: 'weighted',
  })
  await answeredBy(channel, 'a', 'b')
  const answers = await asked(channel, 40)
  assert.equal(answers.filter((name) => name === 'a').length, 30)
  names.services.set('_who._tcp.example', [
    record(a, 'gone.example', 10),
    record(c, 'here.example', 20),
  ])
  await answeredBy(channel, 'c')
})

test('the registry of a broker: instances that listen come, drain, go, and run out of time', async (t) => {
  const broker = await startBroker({ listen: { amqp: false, rpc: 0 } })
  t.after(async () => broker.close({ timeoutMs: 0 }))
  const registry = connectChannel(broker.url('rpc'))
  t.after(async () => registry.close())
  const a = await listen(t, 'a')
  const b = await listen(t, 'b')
  const channel = balanced(t, registryInstances(registry, Who.name))
  assert.deepEqual(await asked(channel), ['UNAVAILABLE'])
  const said = { service: Who.name, labels: { zone: 'eu' } }
  const first = registerInstance(registry, { ...said, address: a.url })
  await first.ready
  await answeredBy(channel, 'a')
  await using second = registerInstance(registry, { ...said, address: b.url, ttlMs: 1000 })
  await answeredBy(channel, 'a', 'b')
  await first.setServing(false)
  await answeredBy(channel, 'b')
  await first.setServing(true)
  await answeredBy(channel, 'a', 'b')
  await first.close()
  await answeredBy(channel, 'b')
  await second.close()
  await answeredBy(channel, 'UNAVAILABLE')
})
