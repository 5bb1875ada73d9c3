import { SAFE_METHODS_LABEL } from '../registry.ts'
import type { Contract } from './contract.ts'

/** Tells the broker which methods may be called where only such are, as by GET. */
export function safeLabel({ methods }: Contract): Readonly<Record<string, string>> {
  const safe = Object.entries(methods).flatMap(([name, { idempotency, wireName }]) =>
    idempotency === 'no-side-effects' ? [wireName ?? name] : [],
  )
  return safe.length === 0 ? {} : { [SAFE_METHODS_LABEL]: safe.join(',') }
}
