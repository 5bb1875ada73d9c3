import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../model/errors.ts'

/** Resolves when what this turn changed is on the device; rejects with `UNAVAILABLE`. */
export async function stored(broker: Broker): Promise<void> {
  broker.requireSync()
  await new Promise<void>((resolve, reject) => {
    broker.onCommit({
      committed: (_ticket, cause) => {
        if (cause === null) resolve()
        else reject(new BrokerError('UNAVAILABLE', 'the change is not stored', { cause }))
      },
    })
  })
}
