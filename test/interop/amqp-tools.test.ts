/** rabbitmq-c, by the command-line tools it brings. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { after, test } from 'node:test'

import { closeTarget, openTarget } from '../support/target.ts'
import { onPath } from './driver.ts'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

async function run(program: string, ...args: readonly string[]): Promise<Ended> {
  const { url } = await openTarget()
  const child = spawn(`amqp-${program}`, [`--url=${url}`, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 20_000,
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      resolve({ code, stdout, stderr })
    })
  })
}

async function succeeds(program: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, ...args)
  assert.equal(code, 0, `amqp-${program} ${args.join(' ')}: ${stderr}`)
  return stdout
}

async function fails(text: RegExp, program: string, ...args: readonly string[]): Promise<void> {
  const { code, stderr } = await run(program, ...args)
  assert.notEqual(code, 0, `amqp-${program} was to fail`)
  assert.match(stderr, text)
}

const CHECKS: Readonly<Record<string, (queue: string) => Promise<void>>> = {
  declare: async (queue) => {
    assert.equal((await succeeds('declare-queue', '-q', queue, '-d')).trim(), queue)
    await succeeds('declare-queue', '-q', queue, '-d')
  },
  'server-named': async () => {
    const name = (await succeeds('declare-queue', '-q', '')).trim()
    assert.match(name, /^amq\.gen-/)
    await succeeds('delete-queue', '-q', name)
  },
  'publish and get': async (queue) => {
    await succeeds('declare-queue', '-q', queue)
    await succeeds('publish', '-r', queue, '-p', '-C', 'text/plain', '-b', 'hello')
    assert.equal(await succeeds('get', '-q', queue), 'hello')
    const empty = await run('get', '-q', queue)
    assert.equal(empty.code, 2, empty.stderr)
  },
  'bind by an exchange': async (queue) => {
    const consuming = run(
      'consume',
      '-q',
      queue,
      '-e',
      'amq.topic',
      '-r',
      `${queue}.#`,
      '-x',
      '-c',
      '1',
      'cat',
    )
    for (;;) {
      // The consumer's queue is there once a passive look finds it locked.
      const { stderr } = await run('get', '-q', queue)
      if (/RESOURCE_LOCKED/.test(stderr)) break
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
    await succeeds('publish', '-e', 'amq.topic', '-r', `${queue}.x`, '-b', 'routed')
    const { code, stdout, stderr } = await consuming
    assert.deepEqual([code, stdout], [0, 'routed'], stderr)
  },
  'consume and ack': async (queue) => {
    await succeeds('declare-queue', '-q', queue)
    for (const body of ['a', 'b', 'c']) await succeeds('publish', '-r', queue, '-b', body)
    const seen = await succeeds('consume', '-q', queue, '-p', '1', '-c', '2', 'cat')
    assert.equal(seen, 'ab')
    assert.equal(await succeeds('get', '-q', queue), 'c')
  },
  'a failed command leaves the message': async (queue) => {
    await succeeds('declare-queue', '-q', queue)
    await succeeds('publish', '-r', queue, '-b', 'kept')
    await run('consume', '-q', queue, '-c', '1', 'false')
    assert.equal(await succeeds('get', '-q', queue), 'kept')
  },
  'error-404': async (queue) => {
    await fails(/NOT_FOUND - no queue/, 'get', '-q', queue)
    await fails(/NOT_FOUND - no queue/, 'consume', '-q', queue, '-c', '1', 'cat')
  },
  'error-406': async (queue) => {
    await succeeds('declare-queue', '-q', queue, '-d')
    await fails(/PRECONDITION_FAILED - inequivalent arg/, 'declare-queue', '-q', queue)
    await succeeds('publish', '-r', queue, '-b', 'x')
    await fails(/PRECONDITION_FAILED - .*not empty/, 'delete-queue', '-q', queue, '-e')
  },
  'error-403': async () => {
    await fails(/ACCESS_REFUSED/, 'declare-queue', '-q', 'amq.mine')
  },
}

after(closeTarget)
test('amqp-tools of rabbitmq-c', async (context) => {
  if (onPath('amqp-publish') === null) {
    context.skip('amqp-tools is absent: no amqp-publish here (test/interop/setup.sh fetches it)')
    return
  }
  for (const [check, body] of Object.entries(CHECKS)) {
    await context.test(check, { timeout: 60_000 }, async () => {
      const queue = `ws.tools.${randomBytes(5).toString('hex')}`
      try {
        await body(queue)
      } finally {
        await run('delete-queue', '-q', queue)
      }
    })
  }
})
