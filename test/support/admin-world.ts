import { createAdminApp } from '../../src/admin/app.ts'
import type { AdminApp, AdminParts } from '../../src/admin/index.ts'
import { Authenticator, UserStore } from '../../src/auth/index.ts'
import { Broker } from '../../src/broker/index.ts'
import { openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import { type Clock, systemClock } from '../../src/lib/clock.ts'
import { SeededRandom } from '../../src/lib/random.ts'
import { Turn } from '../../src/lib/turn.ts'
import { RpcCore } from '../../src/rpc/core.ts'

export const ADMIN_ORIGIN = 'http://127.0.0.1:15672'

const CHEAP = { log2Rounds: 4, blockSize: 8, parallelism: 1 }
const PEER = { address: '127.0.0.1', loopback: true }

export interface Logged {
  readonly fields: object
  readonly text: string
}

export interface AskOptions {
  /** Sent as JSON; a text as it is. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** The HTTP API without a socket, over a broker in memory. */
export interface AdminWorld extends AsyncDisposable {
  readonly app: AdminApp
  readonly broker: Broker
  readonly users: UserStore
  readonly rpcCore: RpcCore
  readonly logged: readonly Logged[]
  readonly ask: (method: string, path: string, options?: AskOptions) => Promise<Response>
}

export interface AdminWorldOptions extends Partial<
  Pick<AdminParts, 'protocols' | 'token' | 'pageFiles'>
> {
  readonly clock?: Clock
}

export async function openAdminWorld(options: AdminWorldOptions = {}): Promise<AdminWorld> {
  const { clock = systemClock, ...given } = options
  const random = new SeededRandom(1)
  const engine = await openEmbeddedEngine({ memory: true, clock })
  const users = await UserStore.open(engine.kv, { random, scrypt: CHEAP })
  const logged: Logged[] = []
  const say = (fields: object, text: string): void => void logged.push({ fields, text })
  const log = { info: say, warn: say, error: say }
  const broker = await Broker.open({ engine, clock, random, turn: new Turn(), log })
  const rpcCore = new RpcCore({ clock, random })
  const app = createAdminApp({
    ...{ broker, users, rpcCore, log, random, authenticator: new Authenticator(users, { clock }) },
    ...{ protocols: [], token: null, pageFiles: null, logTail: null },
    status: () => ({
      ...{ version: '1.2.3', pid: 1, startedAtMs: 0, data: 'memory' },
      ...{ memoryBytes: 1, memoryLimitBytes: 2, diskFreeBytes: 3, diskFreeLimitBytes: 4 },
      store: { engine: 'embedded', durability: 'memory', state: 'ready' },
      listeners: [{ name: 'amqp', address: '127.0.0.1:5672', tls: false, connections: 3 }],
    }),
    backups: {
      freeze: async () => Promise.resolve({ id: 1, folder: 'frozen/1', files: [] }),
      renew: (id) => id === 1,
      release: async (id) => Promise.resolve(id === 1),
    },
    ...given,
  })
  return {
    ...{ app, broker, users, rpcCore, logged },
    ask: async (method, path, { body, headers = {} } = {}) => {
      const text = typeof body === 'string' ? body : JSON.stringify(body)
      const request = new Request(ADMIN_ORIGIN + path, {
        method,
        headers: { host: new URL(ADMIN_ORIGIN).host, ...headers },
        ...(body === undefined ? {} : { body: text }),
      })
      return app.fetch(request, { peer: PEER })
    },
    [Symbol.asyncDispose]: async () => {
      app.close()
      rpcCore.close()
      await broker.close()
      await engine.close()
    },
  }
}
