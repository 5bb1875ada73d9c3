import type { OpenParts } from '../server/open-broker.ts'

/** So many turns of the event loop in a row without work: nothing is on its way in this process. */
const QUIET_TURNS = 12
/** Clients that never come to rest must not keep a test for ever. */
const TURNS_MAX = 20_000

/** Resolves when the broker and the clients of this process have nothing to tell each other. */
export async function settle({ turn, engine }: OpenParts): Promise<void> {
  let quiet = 0
  for (let count = 0; count < TURNS_MAX && quiet < QUIET_TURNS; count++) {
    // Between two of these the event loop reads from sockets.
    await new Promise((resolve) => setImmediate(resolve))
    // What a full disk keeps waiting is not waited for.
    const isStoring = engine.uncommittedBytes > 0 && engine.state !== 'full'
    quiet = turn.isIdle && !isStoring ? quiet + 1 : 0
  }
}
