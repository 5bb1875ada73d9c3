import type { Broker } from '../../broker/index.ts'

/** Resolves when what this turn brought is on disk; rejects with `EngineError`. */
export function stored(broker: Broker): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  broker.requireSync()
  broker.onCommit({
    committed: (_ticket, error) => {
      if (error === null) resolve()
      else reject(error)
    },
  })
  return promise
}
