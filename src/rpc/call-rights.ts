import { BrokerError } from '../model/errors.ts'
import { permissionNameOf, serviceOf } from './call.ts'
import { RpcError, type Status, statusOf } from './status.ts'

/**
 * Asks whether somebody may call (`write`) or provide (`read`) what has this name; throws
 * `BrokerError` when not.
 */
export type AskRight = (name: string, kind: 'write' | 'read') => void

/** What one user may call and provide, remembered by path as long as permissions stay. */
export class CallRights {
  readonly #ask: AskRight
  readonly #pathsMax: number
  readonly #refusals = new Map<string, Status | null>()

  constructor(ask: AskRight, pathsMax: number) {
    this.#ask = ask
    this.#pathsMax = pathsMax
  }

  /** Null: it may be called. What is no path is refused by whoever takes the call, in better words. */
  refusalOf(path: string): Status | null {
    let refusal = this.#refusals.get(path)
    if (refusal === undefined) {
      const service = serviceOf(path)
      refusal = service === null ? null : this.#refusal(service, 'write')
      if (this.#refusals.size >= this.#pathsMax) this.#refusals.clear()
      this.#refusals.set(path, refusal)
    }
    return refusal
  }

  /** Throws `RpcError` PERMISSION_DENIED. */
  requireProviding(service: string): void {
    const refusal = this.#refusal(service, 'read')
    if (refusal !== null) throw new RpcError('PERMISSION_DENIED', refusal.message)
  }

  /** Permissions have changed. */
  forget(): void {
    this.#refusals.clear()
  }

  #refusal(service: string, kind: 'write' | 'read'): Status | null {
    return refusalBy(() => this.#ask(permissionNameOf(service), kind))
  }
}

/** What a question that throws `BrokerError` means to a call; null: it may be made. */
export function refusalBy(ask: () => void): Status | null {
  try {
    ask()
    return null
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    return statusOf('PERMISSION_DENIED', error.message)
  }
}
