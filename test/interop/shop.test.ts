/** The shop of examples/shop: four languages and four protocols hold to one contract. */
import assert from 'node:assert/strict'
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { BrokerProcess } from '../support/broker-process.ts'
import { cacheFolder, onPath } from './driver.ts'

const WITHIN_MS = 120_000
const SHOP = path.join(import.meta.dirname, '../../examples/shop')
const HOOK = path.join(import.meta.dirname, '../support/own-package.ts')
const PYTHON = path.join(cacheFolder('python'), 'bin/python')
const SHELF = path.join(cacheFolder('go'), 'shop')

const execute = promisify(execFile)
const broker = new BrokerProcess()
const children: ChildProcess[] = []
let isOpen = false

before(async () => {
  await broker.start()
  if (absentPython() !== null) return
  await Promise.all([
    startAndRead(process.execPath, ['--import', HOOK, 'typescript/orders.ts', rpcUrl()], 'orders'),
    startAndRead(PYTHON, ['python/warehouse.py', amqpUrl()], 'warehouse'),
  ])
  isOpen = true
})

after(async () => {
  for (const child of children) child.kill('SIGKILL')
  await broker[Symbol.asyncDispose]()
})

function amqpUrl(): string {
  return `amqp://guest:guest@127.0.0.1:${broker.port}`
}

function rpcUrl(): string {
  return `rpc://127.0.0.1:${broker.rpcPort}`
}

/** Null: it is there. */
function absentPython(): string | null {
  const probe = existsSync(PYTHON)
    ? spawnSync(PYTHON, ['-c', 'import grpc_tools, pika'])
    : { status: 1 }
  return probe.status === 0 ? null : `grpcio-tools and pika are not in ${cacheFolder('python')}`
}

/** Whether the shop is open; a test of one that is not is skipped, and says why. */
function openOrSkip(context: TestContext, absent: string | null = null): boolean {
  const reason = isOpen ? absent : absentPython()
  if (reason === null) return true
  context.skip(`${reason} (test/interop/setup.sh fetches it)`)
  return false
}

/** Starts a program and waits until it says something with this word. */
async function startAndRead(command: string, args: string[], word: string): Promise<void> {
  const child = spawn(command, args, { cwd: SHOP, stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.includes(word)) return
  }
  throw new Error(`${command} ${args[0]} ended before it said '${word}'`)
}

/** What a program writes, line by line. */
async function run(command: string, args: readonly string[]): Promise<string[]> {
  const { stdout } = await execute(command, args, { cwd: SHOP, timeout: WITHIN_MS })
  return stdout.trim().split('\n')
}

async function curl(method: string, body: string): Promise<unknown> {
  const url = `http://127.0.0.1:${broker.rpcPort}/shop.v1.Orders/${method}`
  const lines = await run('curl', [
    ...['-s', url, '-H', 'content-type: application/json', '-d', body],
  ])
  return JSON.parse(lines.join('\n'))
}

test('a customer, gRPC from Python', { timeout: WITHIN_MS }, async (context) => {
  if (!openOrSkip(context)) return
  const said = await run(PYTHON, ['python/customer.py', `127.0.0.1:${broker.rpcPort}`])
  assert.deepEqual(said, ['placed order-1', 'FAILED_PRECONDITION: 8 of tea on stock'])
})

test('anybody, with curl', { timeout: WITHIN_MS }, async (context) => {
  if (!openOrSkip(context, onPath('curl') === null ? 'no curl here' : null)) return
  assert.deepEqual(await curl('Place', '{"sku":"tea","count":1}'), {
    ...{ id: 'order-2', sku: 'tea', count: 1 },
  })
  assert.deepEqual(await curl('Find', '{"id":"none"}'), {
    ...{ code: 'not_found', message: 'no order none' },
  })
})

test('a shelf, MQTT from Go', { timeout: WITHIN_MS }, async (context) => {
  const go = onPath('go')
  const isBuilt = go !== null && existsSync(SHELF)
  if (!openOrSkip(context, isBuilt ? null : `no build at ${SHELF}`)) return
  // Built again, so that it is the one in this tree; what setup.sh fetched is enough.
  const build = spawnSync(go!, ['build', '-o', SHELF, '.'], {
    ...{ cwd: path.join(SHOP, 'go'), encoding: 'utf8' },
    env: { ...process.env, GOPROXY: 'off', GOFLAGS: '-buildvcs=false' },
  })
  assert.equal(build.status, 0, build.stderr)
  const [said = ''] = await run(SHELF, [`127.0.0.1:${broker.mqttPort}`])
  assert.match(said, /^0 \{/)
  assert.deepEqual(JSON.parse(said.slice(2)), { id: 'order-3', sku: 'cup', count: 1 })
})

test('the office, AMQP from Java', { timeout: WITHIN_MS }, async (context) => {
  const jars = cacheFolder('java')
  const isThere = onPath('java') !== null && existsSync(jars)
  if (!openOrSkip(context, isThere ? null : `no java, or no jars at ${jars}`)) return
  const args = ['-cp', `${jars}/*`, 'java/Office.java', amqpUrl(), 'order-1', 'none']
  const [found = '', none = ''] = await run('java', args)
  assert.match(found, /^0 \{/)
  assert.deepEqual(JSON.parse(found.slice(2)), { id: 'order-1', sku: 'tea', count: 2 })
  assert.match(none, /^5 .*no order none/)
})
