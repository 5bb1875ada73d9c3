import { type HeaderMap, headersIdentity } from '../model/header-value.ts'

/** From an exchange to a destination or another exchange. */
export interface BindingSpec {
  readonly source: string
  readonly target: string
  readonly targetKind: 'destination' | 'exchange'
  readonly key: string
  readonly arguments: HeaderMap
}

/** The same text exactly for the same binding. */
export function bindingIdentity(binding: BindingSpec): string {
  const { source, targetKind, target, key } = binding
  return JSON.stringify([source, targetKind, target, key, headersIdentity(binding.arguments)])
}
