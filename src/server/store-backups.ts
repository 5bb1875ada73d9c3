import type { Backups } from '../admin/index.ts'
import { EngineError } from '../engine/contract.ts'
import type { EmbeddedEngine } from '../engine/embedded/index.ts'
import { BrokerError } from '../model/errors.ts'

/** Lets the HTTP API hold the store still for whoever copies it. */
export function storeBackups(engine: EmbeddedEngine): Backups {
  return {
    async freeze() {
      try {
        return await engine.freeze()
      } catch (cause) {
        if (!(cause instanceof EngineError)) throw cause
        const code = cause.kind === 'conflict' ? 'PRECONDITION_FAILED' : 'UNAVAILABLE'
        throw new BrokerError(code, cause.message, { cause })
      }
    },
    renew(id) {
      const frozen = engine.frozen(id)
      frozen?.renew()
      return frozen !== null
    },
    async release(id) {
      const frozen = engine.frozen(id)
      await frozen?.release()
      return frozen !== null
    },
  }
}
