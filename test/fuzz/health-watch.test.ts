/** The watch that other tests rely on sees what it must see, and blames no broker for its machine. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { HealthWatch } from '../support/health-watch.ts'

/** A server that tells health, and stalls when it is told to: working, or waiting in vain. */
const SERVER = `
  const server = require('node:http').createServer((_request, response) => response.end('{}'))
  server.listen(0, '127.0.0.1', () => process.send(server.address().port))
  process.on('message', ({ how, forMs }) => {
    const before = process.cpuUsage()
    const usedMs = () => {
      const { user, system } = process.cpuUsage(before)
      return (user + system) / 1000
    }
    if (how === 'wait') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, forMs)
    else while (usedMs() < forMs);
    process.send('over')
  })`

/** Only ever asks for the processor. */
const BURNER = `setTimeout(() => process.exit(), 20_000); for (;;) ;`

interface Server {
  readonly child: ChildProcess
  readonly port: number
}

async function serve(t: TestContext): Promise<Server> {
  const child = spawn(process.execPath, ['-e', SERVER], { stdio: ['ignore', 2, 2, 'ipc'] })
  t.after(() => child.kill('SIGKILL'))
  const [port] = (await once(child, 'message')) as [number]
  return { child, port }
}

async function watchWhile(server: Server, action: () => Promise<unknown>): Promise<string> {
  await using watch = await HealthWatch.open(server.port, server.child.pid!)
  await action()
  return await watch.verdict()
}

async function stall({ child }: Server, how: string, forMs: number): Promise<void> {
  child.send({ how, forMs })
  await once(child, 'message')
}

for (const how of ['work', 'wait']) {
  test(`a broker that does nothing else for two seconds is found: ${how}`, async (t) => {
    const server = await serve(t)
    await assert.rejects(
      watchWhile(server, async () => stall(server, how, 2000)),
      /ms of them the broker's own/,
    )
  })
}

test('a broker that has to wait for others is not blamed for it', async (t) => {
  const server = await serve(t)
  const burners = Array.from({ length: 3 }, () => {
    return spawn(process.execPath, ['-e', BURNER], { stdio: 'ignore' })
  })
  t.after(() => {
    for (const burner of burners) burner.kill('SIGKILL')
  })
  t.diagnostic(await watchWhile(server, async () => stall(server, 'work', 200)))
})
