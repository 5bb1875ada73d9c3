import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BrokerProcess } from '../support/broker-process.ts'

const OPENS_WITHIN_MS = 15_000
const ADDRESS = /Debugger listening on (ws:\S+)/
const SUM = '(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())'

/**
 * Opens the inspector of a broker process, on the loopback, and returns its address. The process
 * must have been started with `--inspect-port=0`.
 */
export async function openInspector(broker: BrokerProcess): Promise<string> {
  const deadlineMs = performance.now() + OPENS_WITHIN_MS
  for (;;) {
    const url = ADDRESS.exec(broker.output)?.[1]
    if (url !== undefined) return url
    if (performance.now() > deadlineMs) throw new Error(`no inspector opened:\n${broker.output}`)
    process.kill(broker.pid!, 'SIGUSR1')
    await sleep(50)
  }
}

/**
 * Bytes that a broker process holds, in its heap and in buffers, after all garbage was collected.
 *
 * Resident memory cannot tell a leak from what V8 and the allocator keep for the next burst: here
 * that differs by 100 MiB from one run to the next.
 */
export async function heldBytes(inspector: string): Promise<number> {
  const socket = new WebSocket(inspector)
  try {
    await once(socket, 'open', { signal: AbortSignal.timeout(OPENS_WITHIN_MS) })
    await ask(socket, 'HeapProfiler.collectGarbage')
    // What finalizers let go of in the first pass is garbage only in the second.
    await ask(socket, 'HeapProfiler.collectGarbage')
    const answer = await ask(socket, 'Runtime.evaluate', { expression: SUM, returnByValue: true })
    return (answer as { result: { value: number } }).result.value
  } finally {
    // An attached inspector would hold up the end of the process.
    socket.close()
  }
}

let lastId = 0

async function ask(socket: WebSocket, method: string, params = {}): Promise<unknown> {
  const id = ++lastId
  const answer = new Promise<unknown>((resolve, reject) => {
    const listen = ({ data }: MessageEvent): void => {
      const message = JSON.parse(String(data)) as { id?: number; result?: unknown; error?: unknown }
      if (message.id !== id) return
      socket.removeEventListener('message', listen)
      if (message.error === undefined) resolve(message.result)
      else reject(new Error(`${method}: ${JSON.stringify(message.error)}`))
    }
    socket.addEventListener('message', listen)
    socket.addEventListener('close', () => reject(new Error(`${method}: the inspector closed`)))
  })
  socket.send(JSON.stringify({ id, method, params }))
  return answer
}
