/** Programs of others on the RPC port: h2spec, grpcurl, and gRPC for Python on both sides. */
import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, type TestContext, test } from 'node:test'
import { BrokerProcess } from '../support/broker-process.ts'
import { cacheFolder } from './driver.ts'

const WITHIN_MS = 180_000
const MAIN = path.join(import.meta.dirname, '../../src/cli/main.ts')
const PYTHON = path.join(cacheFolder('python'), 'bin/python')
const DRIVER = path.join(import.meta.dirname, 'python/grpc_driver.py')

const broker = new BrokerProcess()
const children: ChildProcess[] = []
before(() => broker.start())
after(async () => {
  for (const child of children) child.kill('SIGTERM')
  await broker[Symbol.asyncDispose]()
})

/** The path of a program that setup.sh has built; null when it is absent, and the test skipped. */
function toolOrSkip(context: TestContext, name: string): string | null {
  const file = path.join(cacheFolder('go'), 'tools', name)
  if (existsSync(file)) return file
  context.skip(`${name} is absent: no build at ${file} (test/interop/setup.sh fetches it)`)
  return null
}

function pythonOrSkip(context: TestContext): boolean {
  const probe = existsSync(PYTHON) ? spawnSync(PYTHON, ['-c', 'import grpc']) : { status: 1 }
  if (probe.status === 0) return true
  context.skip(
    `grpcio is absent: not in ${cacheFolder('python')} (test/interop/setup.sh fetches it)`,
  )
  return false
}

/** Starts a child process and waits for a line of its output. */
async function startAndRead(
  command: string,
  args: readonly string[],
  line: RegExp,
): Promise<string> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  const lines = createInterface({ input: child.stdout })
  for await (const text of lines) {
    if (line.test(text)) return text
  }
  throw new Error(`${command} ended before it said ${String(line)}`)
}

test('h2spec, every case and the strict ones', { timeout: WITHIN_MS }, (context) => {
  const h2spec = toolOrSkip(context, 'h2spec')
  if (h2spec === null) return
  // Its time limit tells a peer that says nothing from one that answers; it is long for slow machines.
  const args = ['-h', '127.0.0.1', '-p', String(broker.rpcPort), '--strict', '-o', '10']
  const { stdout, status } = spawnSync(h2spec, args, { encoding: 'utf8', timeout: WITHIN_MS })
  const summary = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(stdout)
  assert.ok(summary !== null, stdout.slice(-2000))
  const [, tests, passed] = summary
  assert.ok(Number(tests) > 140, summary[0])
  assert.equal(passed, tests, stdout.slice(stdout.indexOf('Failures:')))
  assert.equal(status, 0)
})

test('grpcurl lists, describes and asks for health', { timeout: WITHIN_MS }, (context) => {
  const grpcurl = toolOrSkip(context, 'grpcurl')
  if (grpcurl === null) return
  const run = (...args: string[]): string => {
    const { stdout, stderr, status } = spawnSync(grpcurl, ['-plaintext', ...args], {
      encoding: 'utf8',
      timeout: WITHIN_MS,
    })
    assert.equal(status, 0, stderr)
    return stdout
  }
  const address = `127.0.0.1:${broker.rpcPort}`
  assert.match(run(address, 'list'), /^grpc\.health\.v1\.Health$/m)
  assert.match(run(address, 'describe', 'grpc.health.v1.Health'), /rpc Check/)
  assert.match(run('-d', '{}', address, 'grpc.health.v1.Health/Check'), /"status": "SERVING"/)
})

test(
  'the lines of curl and grpcurl in the README work as they stand',
  { timeout: WITHIN_MS },
  (context) => {
    const grpcurl = toolOrSkip(context, 'grpcurl')
    if (grpcurl === null) return
    const readme = readFileSync(path.join(import.meta.dirname, '../../README.md'), 'utf8')
    const lines = readme.split('\n').filter((line) => /^(grp)?curl /.test(line))
    assert.ok(lines.length >= 3, 'lines of curl and grpcurl in the README')
    const PATH = `${path.dirname(grpcurl)}${path.delimiter}${process.env['PATH']}`
    for (const line of lines) {
      const command = line.replaceAll('127.0.0.1:7700', `127.0.0.1:${broker.rpcPort}`)
      const options = {
        encoding: 'utf8',
        timeout: WITHIN_MS,
        env: { ...process.env, PATH },
      } as const
      const { stdout, stderr, status } = spawnSync('sh', ['-c', command], options)
      assert.equal(status, 0, `${line}\n${stderr}`)
      assert.match(stdout, /SERVING|^grpc\.health\.v1\.Health$/m, line)
    }
  },
)

test(
  'gRPC for Python calls an unmodified server of Python through the broker',
  { timeout: WITHIN_MS },
  async (context) => {
    if (!pythonOrSkip(context)) return
    const port = await startAndRead(PYTHON, [DRIVER, 'serve'], /^\d+$/)
    await startAndRead(
      process.execPath,
      [
        ...[MAIN, 'attach', '--service', 'interop.Echo', '--to', `127.0.0.1:${port}`],
        ...['--broker', `rpc://127.0.0.1:${broker.rpcPort}`],
      ],
      / attached$/,
    )
    const driver = spawn(PYTHON, [DRIVER, 'call', `127.0.0.1:${broker.rpcPort}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(driver)
    const ended = once(driver, 'exit')
    let count = 0
    for await (const text of createInterface({ input: driver.stdout })) {
      const { check, ok, error } = JSON.parse(text) as {
        check: string
        ok: boolean
        error?: string
      }
      count += 1
      await context.test(check, () => assert.ok(ok, error))
    }
    assert.deepEqual(await ended, [0, null])
    assert.ok(count >= 14, `only ${count} checks`)
  },
)
