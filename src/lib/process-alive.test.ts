import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { isProcessAlive } from './process-alive.ts'

test('this process lives, ids that nobody has do not', () => {
  assert.equal(isProcessAlive(process.pid), true)
  // Process ids go up to 4194304 on Linux.
  for (const pid of [9_999_999, 0, -1]) assert.equal(isProcessAlive(pid), false, String(pid))
})

test('a process that ended lives no more, though its parent has not asked', async (t) => {
  if (process.platform !== 'linux') {
    t.skip('needs /proc')
    return
  }
  // The shell becomes a program that never asks after the child it was left with.
  const parent = spawn('sh', ['-c', 'sleep 0.05 & echo $!; exec sleep 60'])
  try {
    const [line] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(line.toString())
    const deadlineMs = performance.now() + 10_000
    while (isProcessAlive(pid)) {
      assert.ok(performance.now() < deadlineMs, `process ${pid} does not end`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    // Its id still answers: that is what made it look alive.
    process.kill(pid, 0)
  } finally {
    parent.kill('SIGKILL')
  }
})
