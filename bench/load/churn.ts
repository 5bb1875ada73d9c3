import { nowMs } from '../../src/load/clock.ts'
import { Connection } from '../../src/load/connection.ts'
import { inParallel } from '../../src/load/in-parallel.ts'
import type { Endpoint } from '../../src/load/raw-socket.ts'

export interface ChurnSpec extends Endpoint {
  readonly role: 'churn'
  /** Connections opened and closed in all. */
  readonly count: number
  /** How many are on the way at once. */
  readonly concurrency: number
}

export interface ChurnResult {
  readonly opened: number
  readonly startMs: number
  readonly endMs: number
}

export interface IdleSpec extends Endpoint {
  readonly role: 'idle'
  readonly count: number
}

/** No frame of a handshake is longer, and ten thousand buffers must stay small. */
const READ_BUFFER_BYTES = 8_192

/** Opens a connection with one channel, closes it, and again. */
export async function churn(spec: ChurnSpec): Promise<ChurnResult> {
  const startMs = nowMs()
  let opened = 0
  const loop = async (): Promise<void> => {
    while (opened < spec.count) {
      opened++
      const connection = await Connection.open(spec, { readBufferBytes: READ_BUFFER_BYTES })
      await connection.close()
    }
  }
  await Promise.all(Array.from({ length: spec.concurrency }, loop))
  return { opened, startMs, endMs: nowMs() }
}

/** Holds connections, each with one channel, until `close`. */
export class IdleConnections {
  readonly #connections: Connection[] = []
  #failure: Error | null = null

  static async open(spec: IdleSpec): Promise<IdleConnections> {
    const idle = new IdleConnections()
    await inParallel(spec.count, async () => {
      const connection = await Connection.open(spec, { readBufferBytes: READ_BUFFER_BYTES })
      connection.onError = (error) => {
        idle.#failure ??= error
      }
      idle.#connections.push(connection)
    })
    return idle
  }

  /** Closes all and says how many had stayed open; throws if the broker closed one. */
  async close(): Promise<number> {
    if (this.#failure !== null) throw this.#failure
    const open = this.#connections.splice(0)
    await inParallel(open.length, async (index) => open[index]?.close())
    return open.length
  }
}
