/**
 * gRPC's interop cases with the client and the server of one language, in every direction: their
 * client against a provider of ours that listens, against one behind the broker, and against their
 * own server behind `waystation attach`; our client against their server, itself and behind the broker.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after, type TestContext, test } from 'node:test'
import { type Channel, connectChannel, listenChannel } from '../../src/client/index.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { provideTestService } from '../support/interop-contract.ts'
import type { Driver, DriverCommand } from './driver.ts'
import { CASES, ourClient, runCase, type TestClient } from './grpc-cases.ts'

const WITHIN_MS = 180_000
const MAIN = path.join(import.meta.dirname, '../../src/cli/main.ts')

/**
 * Of a server: every case. Of a broker: a service that nobody provides is UNAVAILABLE there, since
 * a provider may come, where a server says UNIMPLEMENTED.
 */
const DIRECT_CASES: readonly string[] = Object.keys(CASES)
const BROKERED_CASES: readonly string[] = DIRECT_CASES.filter(
  (name) => name !== 'unimplemented_service',
)

const children: ChildProcess[] = []
const closers: (() => Promise<void>)[] = []

/** What all languages share: a broker with our provider, one for theirs, and a provider that listens. */
interface World {
  readonly brokered: string
  readonly direct: string
  /** A broker that only their server is attached to. */
  readonly theirBroker: BrokerProcess
}

let world: Promise<World> | null = null

async function openWorld(): Promise<World> {
  const ours = new BrokerProcess()
  const theirBroker = new BrokerProcess()
  closers.push(
    async () => ours[Symbol.asyncDispose](),
    async () => theirBroker[Symbol.asyncDispose](),
  )
  // One after the other: each has a time in which it must be ready.
  await ours.start()
  await theirBroker.start()
  const listening = await listenChannel()
  const attached = connectChannel(`rpc://127.0.0.1:${ours.rpcPort}`)
  closers.unshift(
    async () => attached.close(),
    async () => listening.close(),
  )
  await Promise.all([listening, attached].map(async (to) => provideTestService(to).ready))
  return {
    brokered: `127.0.0.1:${ours.rpcPort}`,
    direct: `127.0.0.1:${listening.port}`,
    theirBroker,
  }
}

after(async () => {
  for (const child of children) child.kill('SIGTERM')
  for (const close of closers) await close()
})

/** Their program: `serve` prints a port, `call ADDRESS CASES ...` a line of JSON for each case. */
export function grpcInteropTest(
  name: string,
  find: () => Driver,
  /** Cases that their client has not, or does in another way, each with the reason. */
  leftOut: Readonly<Record<string, string>> = {},
): void {
  test(`${name}, client and server`, { timeout: WITHIN_MS }, async (context) => {
    const program = find()
    if ('absent' in program) {
      context.skip(`${name} is absent: ${program.absent} (test/interop/setup.sh fetches it)`)
      return
    }
    world ??= openWorld()
    const { brokered, direct, theirBroker } = await world
    const port = await startAndRead(withArgs(program, 'serve'), /^\d+$/)
    const attach = startAttach(port, theirBroker)
    await attach.ready
    const theirs = `127.0.0.1:${theirBroker.rpcPort}`
    const wanted = (names: readonly string[]): string =>
      names.filter((one) => leftOut[one] === undefined).join(',')
    await theirClient(context, program, [
      ['a provider of ours', direct, wanted(DIRECT_CASES)],
      ['our provider through the broker', brokered, wanted(BROKERED_CASES)],
      ['their server through the broker', theirs, wanted(BROKERED_CASES)],
    ])
    await ourClientTests(context, 'their server', {
      channel: connectChannel(`grpc://127.0.0.1:${port}`),
      names: DIRECT_CASES,
    })
    await ourClientTests(context, 'their server through the broker', {
      channel: connectChannel(`rpc://${theirs}`),
      names: BROKERED_CASES,
    })
    attach.child.kill('SIGTERM')
    await once(attach.child, 'exit')
  })
}

/** A client and a server that run in this process. */
export interface Peer {
  /** Returns the port, and how to end it. */
  serve(): Promise<{ readonly port: number; readonly close: () => void }>
  /** Clients by what they speak. */
  clients(address: string): readonly (readonly [string, TestClient])[]
}

export function peerInteropTest(name: string, peer: Peer): void {
  test(`${name}, client and server`, { timeout: WITHIN_MS }, async (context) => {
    world ??= openWorld()
    const { brokered, direct, theirBroker } = await world
    const server = await peer.serve()
    const attach = startAttach(String(server.port), theirBroker)
    await attach.ready
    const theirs = `127.0.0.1:${theirBroker.rpcPort}`
    const targets = [
      ['a provider of ours', direct, DIRECT_CASES],
      ['our provider through the broker', brokered, BROKERED_CASES],
    ] as const
    for (const [where, address, names] of targets) {
      for (const [wire, client] of peer.clients(address)) {
        await runCases(context, `their client by ${wire}, ${where}`, { client, names })
      }
    }
    await ourClientTests(context, 'their server', {
      channel: connectChannel(`grpc://127.0.0.1:${server.port}`),
      names: DIRECT_CASES,
    })
    await ourClientTests(context, 'their server through the broker', {
      channel: connectChannel(`rpc://${theirs}`),
      names: BROKERED_CASES,
    })
    attach.child.kill('SIGTERM')
    await once(attach.child, 'exit')
    server.close()
  })
}

async function theirClient(
  context: TestContext,
  program: DriverCommand,
  targets: readonly (readonly [string, string, string])[],
): Promise<void> {
  const args = targets.flatMap(([, address, names]) => [address, names])
  const { command, args: all } = withArgs(program, 'call', ...args)
  const child = spawn(command, all, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const ended = once(child, 'exit')
  let count = 0
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith('{')) continue
    const { address, check, ok, error } = JSON.parse(line) as Line
    const where = targets.find(([, target]) => target === address)?.[0]
    count += 1
    await context.test(`their client, ${where}: ${check}`, () => {
      assert.ok(ok, error ?? 'it gave no reason')
    })
  }
  assert.deepEqual(await ended, [0, null])
  const expected = targets.reduce((sum, [, , names]) => sum + names.split(',').length, 0)
  assert.equal(count, expected, 'cases that were run')
}

interface Line {
  readonly address: string
  readonly check: string
  readonly ok: boolean
  readonly error?: string
}

async function ourClientTests(
  context: TestContext,
  where: string,
  { channel, names }: { readonly channel: Channel; readonly names: readonly string[] },
): Promise<void> {
  try {
    await runCases(context, `our client, ${where}`, { client: ourClient(channel), names })
  } finally {
    await channel.close()
  }
}

async function runCases(
  context: TestContext,
  who: string,
  { client, names }: { readonly client: TestClient; readonly names: readonly string[] },
): Promise<void> {
  for (const name of names) {
    await context.test(`${who}: ${name}`, async () => runCase(name, client))
  }
}

function startAttach(
  port: string,
  broker: BrokerProcess,
): { readonly child: ChildProcess; readonly ready: Promise<string> } {
  const flags = ['--service', 'grpc.testing.TestService', '--to', `127.0.0.1:${port}`]
  const args = [MAIN, 'attach', ...flags, '--broker', `rpc://127.0.0.1:${broker.rpcPort}`]
  return startChild({ command: process.execPath, args }, / attached$/)
}

function withArgs(program: DriverCommand, ...more: readonly string[]): DriverCommand {
  return { ...program, args: [...program.args, ...more] }
}

async function startAndRead(program: DriverCommand, line: RegExp): Promise<string> {
  return startChild(program, line).ready
}

/** Starts a process that ends with its input, and waits for a line of its output. */
function startChild(
  { command, args }: DriverCommand,
  line: RegExp,
): { readonly child: ChildProcess; readonly ready: Promise<string> } {
  const child = spawn(command, [...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  const ready = (async (): Promise<string> => {
    for await (const text of createInterface({ input: child.stdout })) {
      if (line.test(text)) return text
    }
    throw new Error(`${command} ended before it said ${String(line)}`)
  })()
  return { child, ready }
}
