import { DiskError, DiskLockedError } from '../../storage/disk.ts'
import { CorruptError } from '../../storage/segment-scan.ts'
import { EngineError } from '../contract.ts'

/** Says in the contract's words what storage said; anything unknown is a fault of ours. */
export function toEngineError(error: unknown): EngineError {
  if (error instanceof EngineError) return error
  if (error instanceof CorruptError) {
    return new EngineError('corrupt', error.message, { cause: error })
  }
  if (error instanceof DiskLockedError) {
    return new EngineError('locked', error.message, { cause: error })
  }
  if (error instanceof DiskError) {
    return new EngineError('io', `the disk refused: ${error.message}`, { cause: error })
  }
  return new EngineError('io', `the store failed: ${String(error)}`, { cause: error })
}

export function closedError(what: string): EngineError {
  return new EngineError('closed', `${what} is closed`)
}
