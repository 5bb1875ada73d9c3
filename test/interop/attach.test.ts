/** Providers of other languages that attach by a stream of gRPC: `examples/attach`, and one in Go. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { StringValueSchema } from '@bufbuild/protobuf/wkt'
import { connectChannel, createClient, hopOf, rpc, service } from '../../src/client/index.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { collect, GrpcJsClient, until } from '../support/grpc-js-client.ts'
import { cacheFolder } from './driver.ts'

const ROOT = path.join(import.meta.dirname, '../..')
const PROTO = 'waystation/rpc/v1/provider.proto'
const WITHIN_MS = 120_000

/** A program that attaches to the broker at an address for a service. */
interface Program {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

class Peer {
  readonly child: ChildProcess
  said = ''

  constructor({ command, args, env = {} }: Program, address: string, name: string) {
    this.child = spawn(command, [...args, address, name], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    })
    this.child.stdout!.on('data', (bytes: Buffer) => (this.said += bytes.toString()))
  }

  async says(text: string): Promise<void> {
    await until(() => this.said.includes(text) || this.child.exitCode !== null, text)
    assert.ok(this.said.includes(text), `it ended without '${text}': ${this.said}`)
  }

  /** So often it has said so. */
  count(text: string): number {
    return this.said.split(text).length - 1
  }
}

function pythonProgram(t: TestContext): Program | null {
  const command = path.join(cacheFolder('python'), 'bin/python')
  if (!existsSync(command)) return null
  const folder = temporaryFolder(t)
  const out = [`--python_out=${folder}`, `--grpc_python_out=${folder}`]
  execFileSync(command, ['-m', 'grpc_tools.protoc', '-I', path.join(ROOT, 'proto'), ...out, PROTO])
  const args = [path.join(ROOT, 'examples/attach/provider.py')]
  return { command, args, env: { PYTHONPATH: folder } }
}

function goProgram(t: TestContext): Program | null {
  const tools = path.join(cacheFolder('go'), 'tools')
  const command = path.join(tools, 'attach')
  if (!existsSync(command)) return null
  const set = path.join(temporaryFolder(t), 'provider.binpb')
  const file = ['-import-path', path.join(ROOT, 'proto'), '-proto', PROTO]
  const describe = ['-protoset-out', set, 'describe', 'waystation.rpc.v1.Provider']
  execFileSync(path.join(tools, 'grpcurl'), [...file, ...describe], { stdio: 'ignore' })
  return { command, args: [set] }
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'waystation-attach-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

const text = { in: StringValueSchema, out: StringValueSchema }

async function passes(t: TestContext, program: Program): Promise<void> {
  const broker = new BrokerProcess()
  t.after(async () => broker[Symbol.asyncDispose]())
  await broker.start()
  const address = `127.0.0.1:${broker.rpcPort}`
  const name = 'demo.v1.Echo'
  const peer = new Peer(program, address, name)
  t.after(() => peer.child.kill('SIGKILL'))
  await peer.says('attached as')

  // Our client.
  const channel = connectChannel(`rpc://${address}`)
  t.after(async () => channel.close())
  const Demo = service(name, {
    Echo: rpc.unary(text),
    Fail: rpc.unary(text),
    Sleep: rpc.unary(text),
  })
  const demo = createClient(Demo, channel, { policy: { retry: false } })
  const value = 'x'.repeat(1_000_000)
  assert.equal((await demo.Echo(create(StringValueSchema, { value }))).value, value)
  await assert.rejects(demo.Fail({ value }), {
    code: 'FAILED_PRECONDITION',
    message: 'no tea today',
  })
  await assert.rejects(demo.Sleep({ value }, { deadlineMs: 300 }), { code: 'DEADLINE_EXCEEDED' })
  await peer.says('woken')

  // A client of gRPC.
  using client = new GrpcJsClient(address)
  const streamed = async (method: string, ...requests: Buffer[]) => {
    const call = client.stream(`/${name}/${method}`, { deadline: Date.now() + 60_000 })
    for (const request of requests) call.write(request)
    call.end()
    return collect(call)
  }
  const parts = Array.from({ length: 30 }, (_, index) => Buffer.alloc(20_000, index))
  assert.deepEqual((await streamed('Echo', ...parts)).replies, parts)
  assert.deepEqual((await streamed('Up', ...parts)).replies, [Buffer.from('600000')])
  // Far more than goes without credit.
  assert.equal((await streamed('Down', Buffer.from('100'))).replies.length, 100)
  assert.equal((await streamed('None')).code, 12)

  // It takes four at once; more wait, and go on when one of them is over.
  const before = peer.count('asleep')
  const abort = Array.from({ length: 6 }, () => new AbortController())
  const sleeping = abort.map(async ({ signal }) =>
    demo.Sleep({ value: '' }, { signal, deadlineMs: 60_000 }).then(
      () => 'OK',
      (error: unknown) => (error as { readonly code: string }).code,
    ),
  )
  await until(() => peer.count('asleep') === before + 4, 'four calls')
  abort[0]!.abort('enough')
  await until(() => peer.count('asleep') === before + 5, 'the fifth call')
  assert.equal(await sleeping[0], 'CANCELLED')

  // Killed in the middle of calls: each is told, and how far it came.
  const started = demo.Sleep({ value: '' }, { deadlineMs: 60_000 }).catch((error: unknown) => error)
  abort[1]!.abort('enough')
  peer.child.kill('SIGKILL')
  const error = (await started) as { readonly code: string; readonly details: [] }
  assert.equal(error.code, 'UNAVAILABLE')
  assert.ok(hopOf(error) !== null)
  const codes = await Promise.all(sleeping)
  assert.ok(
    codes.every((code) => code === 'UNAVAILABLE' || code === 'CANCELLED'),
    codes.join(),
  )

  // Another one takes its place, and drains when it is asked to go.
  const other = new Peer(program, address, name)
  t.after(() => other.child.kill('SIGKILL'))
  await other.says('attached as')
  assert.equal((await demo.Echo({ value: 'again' })).value, 'again')
  const ended = once(other.child, 'exit')
  other.child.stdin!.end()
  assert.deepEqual(await ended, [0, null])
  await assert.rejects(demo.Echo({ value: '' }), { code: 'UNAVAILABLE' })
}

test('a provider in Python attaches with grpcio', { timeout: WITHIN_MS }, async (t) => {
  const program = pythonProgram(t)
  if (program === null) return t.skip('the Python clients are not installed')
  await passes(t, program)
})

test('a provider in Go attaches with grpc-go', { timeout: WITHIN_MS }, async (t) => {
  const program = goProgram(t)
  if (program === null) return t.skip('grpc-go is not built')
  await passes(t, program)
})
