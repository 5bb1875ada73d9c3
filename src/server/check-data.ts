import { EngineError } from '../engine/contract.ts'
import { checkStore, type StoreReport } from '../engine/embedded/index.ts'
import { StartupError } from './startup-error.ts'

export type { StoreFault, StoreReport } from '../engine/embedded/index.ts'

/**
 * Reads every byte of a data directory that no broker uses. With `repair`, what is damaged is
 * moved aside so that a broker can open the rest. Rejects with `StartupError`.
 */
export async function checkData(directory: string, repair: boolean): Promise<StoreReport> {
  try {
    return await checkStore(directory, { repair })
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    const code = error.kind === 'locked' ? 'locked' : 'data'
    throw new StartupError(code, error.message, { cause: error })
  }
}
