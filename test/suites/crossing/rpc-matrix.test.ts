/**
 * Every kind of caller times every kind of provider, and every way in which a call can end: the
 * statuses are those that the table of docs/message-calls.md shows. No wait here is without an end.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { startBroker } from '../../../src/server/index.ts'
import {
  ASK,
  type CallOptions,
  DECLARED,
  LARGE,
  type MatrixCaller,
  type MatrixProvider,
  MESSAGE_BYTES_MAX,
  type Outcome,
} from '../../support/call-matrix.ts'
import { until } from '../../support/grpc-js-client.ts'
import {
  AmqpCaller,
  ConnectCaller,
  FrameCaller,
  GrpcCaller,
  MqttCaller,
} from '../../support/matrix-callers.ts'
import {
  AmqpProvider,
  DirectProvider,
  GrpcProvider,
  MqttProvider,
  TypedProvider,
} from '../../support/matrix-providers.ts'

/** A call that takes longer than its deadline and this hangs. */
const BOUND_MS = 30_000
/** Calls that wait for something else are not to end by it. */
const LONG_MS = 120_000

const PAGE = new URL('../../../docs/message-calls.md', import.meta.url)

let broker: Awaited<ReturnType<typeof startBroker>>
let callers: MatrixCaller[] = []
let providers: MatrixProvider[] = []
let statuses: ReadonlyMap<string, string> = new Map()

before(async () => {
  statuses = await readStatuses()
  broker = await startBroker({
    listen: { amqp: 0, mqtt: 0, rpc: 0 },
    rpc: { messageSize: MESSAGE_BYTES_MAX },
  })
  const ports = { amqp: broker.port('amqp'), mqtt: broker.port('mqtt'), rpc: broker.port('rpc') }
  callers = [
    new FrameCaller('frames', `rpc://127.0.0.1:${ports.rpc}`),
    new GrpcCaller(`127.0.0.1:${ports.rpc}`),
    ...ConnectCaller.all(`http://127.0.0.1:${ports.rpc}`),
    await AmqpCaller.open(`amqp://guest:guest@127.0.0.1:${ports.amqp}`),
    await MqttCaller.open(`mqtt://127.0.0.1:${ports.mqtt}`),
  ]
  providers = [
    new TypedProvider(ports),
    new GrpcProvider(ports),
    new AmqpProvider(ports),
    new MqttProvider(ports),
  ]
})

after(async () => {
  for (const provider of providers) await provider.close()
  for (const caller of callers) await caller.close()
  await broker.close()
})

/** The table of the page, row by row. */
async function readStatuses(): Promise<Map<string, string>> {
  const rows = new Map<string, string>()
  let isIn = false
  for (const line of (await readFile(PAGE, 'utf8')).split('\n')) {
    if (line.startsWith('| what happens |')) isIn = true
    else if (isIn && !line.startsWith('|')) break
    else if (isIn) {
      const [, what = '', status = ''] = /^\| (.+) \| `(\w+)` \|$/.exec(line) ?? []
      if (what !== '') rows.set(what, status)
    }
  }
  return rows
}

/** The status that the page has for a row; every row has to be asked for. */
const asked = new Set<string>()
function statusOf(row: string): string {
  const status = statuses.get(row)
  assert.ok(status !== undefined, `the page has no row '${row}'`)
  asked.add(row)
  return status
}

interface Cell {
  readonly caller: MatrixCaller
  readonly provider: MatrixProvider
  readonly title: string
}

function callersOf({ takesJson }: MatrixProvider): MatrixCaller[] {
  return callers.filter(({ isJson = false }) => takesJson || !isJson)
}

function cells(): Cell[] {
  return providers.flatMap((provider) =>
    callersOf(provider).map((caller) => {
      return { caller, provider, title: `${caller.name} calls ${provider.name}` }
    }),
  )
}

/** The outcome, unless it takes longer than it may: then an error that says so. */
async function bounded(
  { caller, provider }: Cell,
  text: string,
  options: CallOptions = {},
): Promise<Outcome> {
  const withinMs = (options.deadlineMs ?? 10_000) + BOUND_MS
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${withinMs} ms`)), withinMs)
  })
  try {
    return await Promise.race([caller.call(provider.service, text, options), late])
  } finally {
    clearTimeout(timer)
  }
}

/** Makes all calls at once, and then says of each one what is wrong with it. */
async function check(
  call: (cell: Cell) => Promise<Outcome>,
  expected: (outcome: Outcome) => void,
): Promise<void> {
  const all = cells()
  const outcomes = await Promise.allSettled(all.map(call))
  const faults: string[] = []
  for (const [index, result] of outcomes.entries()) {
    try {
      if (result.status === 'rejected') throw result.reason
      expected(result.value)
    } catch (error) {
      const found = result.status === 'fulfilled' ? JSON.stringify(result.value) : ''
      faults.push(`${all[index]!.title}: ${String(error)} ${found.slice(0, 500)}`)
    }
  }
  assert.deepEqual(faults, [])
  assert.ok(outcomes.length >= (callers.length - 1) * providers.length)
}

/** Begun before the calls: resolves when all of them wait at their providers. */
async function allWait(): Promise<void> {
  const wanted = providers.map((one) => one.waitingCount + callersOf(one).length)
  await until(
    () => providers.every((one, index) => one.waitingCount >= wanted[index]!),
    'all calls to be with their providers',
  )
}

/** Nobody who can be told has a call any more. */
async function allTold(): Promise<void> {
  const told = providers.filter(({ hearsCancel }) => hearsCancel)
  await until(() => told.every(({ waitingCount }) => waitingCount === 0), 'all to be told')
}

async function matrix(started: () => void = () => {}): Promise<void> {
  await test('nobody provides the service', async () => {
    const code = statusOf('nobody provides the service')
    await check(
      (cell) => bounded(cell, ASK.OK, { deadlineMs: LONG_MS }),
      (outcome) => assert.equal(outcome.code, code),
    )
  })
  await Promise.all(providers.map((provider) => provider.start()))
  started()
  await test('answered', async () => {
    const code = statusOf('answered')
    await check(
      (cell) => bounded(cell, ASK.OK),
      (outcome) => assert.deepEqual(outcome, { code, text: ASK.OK, detail: null }),
    )
  })
  await test('a declared error, with its text and its details', async () => {
    const code = statusOf('the provider answers with an error it declares')
    const detail = DECLARED.value.toString()
    await check(
      (cell) => bounded(cell, ASK.ERROR),
      (outcome) => assert.deepEqual(outcome, { code, text: DECLARED.text, detail }),
    )
  })
  await test('a request that is too large', async () => {
    const code = statusOf('the request is larger than `rpc.messageSize`')
    await check(
      (cell) => bounded(cell, LARGE),
      (outcome) => assert.equal(outcome.code, code),
    )
  })
  await test('an answer that is too large', async () => {
    const code = statusOf('the answer is larger than `rpc.messageSize`')
    await check(
      (cell) => bounded(cell, ASK.LARGE),
      (outcome) => assert.equal(outcome.code, code),
    )
  })
  await test('a call cancelled, and told to whoever can be told', async () => {
    const code = statusOf('the caller cancels')
    const ending = new AbortController()
    const { signal } = ending
    const waiting = allWait()
    const done = check(
      (cell) => bounded(cell, ASK.WAIT, { deadlineMs: LONG_MS, signal }),
      (outcome) => assert.equal(outcome.code, code),
    )
    await waiting
    ending.abort()
    await done
    await allTold()
  })
  await test('a deadline that passes', async () => {
    const code = statusOf('the deadline passes')
    await check(
      (cell) => bounded(cell, ASK.WAIT, { deadlineMs: 500 }),
      (outcome) => assert.equal(outcome.code, code),
    )
    await allTold()
  })
  await test('a provider that is killed while it has the call', async () => {
    const code = statusOf('the provider is killed')
    const waiting = allWait()
    const done = check(
      (cell) => bounded(cell, ASK.WAIT, { deadlineMs: LONG_MS }),
      (outcome) => assert.equal(outcome.code, code),
    )
    await waiting
    for (const provider of providers) provider.kill()
    await done
  })
}

test('through the broker', async () => matrix())

test('direct, without a broker', async () => {
  const brokered = { callers, providers }
  const provider = new DirectProvider(MESSAGE_BYTES_MAX)
  // Where nobody listens nobody provides.
  const connect = (): MatrixCaller => new FrameCaller('frames, direct', provider.url)
  const early = connect()
  callers = [early]
  providers = [provider]
  try {
    await matrix(() => (callers = [connect()]))
  } finally {
    await early.close()

    for (const caller of callers) await caller.close()
    await provider.close()
    ;({ callers, providers } = brokered)
  }
})

test('every row of the page was asked for', () => {
  assert.ok(statuses.size > 0)
  assert.deepEqual([...asked].toSorted(), [...statuses.keys()].toSorted())
})
