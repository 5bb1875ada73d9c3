import { BrokerError } from '../../model/errors.ts'
import { equalHeaderValues, NO_HEADERS } from '../../model/header-value.ts'
import type { HeaderMap, HeaderValue } from '../../model/header-value.ts'
import { BindingMatcher, type KeptBinding } from './binding-matcher.ts'
import type { BindingKey, RoutingKey } from './routing-key.ts'

const MATCH_ARGUMENT = 'x-match'
const RESERVED_PREFIX = 'x-'

interface Condition<T> {
  readonly target: T
  /** True: one header is enough. False: every one must fit. */
  readonly any: boolean
  readonly keys: readonly string[]
  /** null asks only that the header is there. */
  readonly values: readonly HeaderValue[]
}

/**
 * Compares the message's headers with the binding's arguments. `x-match` says how: `all` (the
 * default) or `any`, which pass over arguments whose name starts with `x-`, or `all-with-x` and
 * `any-with-x`, which do not. With no argument left, `all` fits always and `any` never.
 */
export class HeadersMatcher<T extends object> extends BindingMatcher<T> {
  override readonly kind = 'headers'
  override readonly dependsOn = 'headers'
  readonly #conditions = new Map<KeptBinding<T>, Condition<T>>()

  override validate(_key: BindingKey, args: HeaderMap = NO_HEADERS): void {
    matchMode(args)
  }

  override match(_key: RoutingKey, headers: HeaderMap | null, into: Set<T>): void {
    const present = headers ?? NO_HEADERS
    for (const condition of this.#conditions.values()) {
      if (!into.has(condition.target) && fits(condition, present)) into.add(condition.target)
    }
  }

  protected override insert(binding: KeptBinding<T>): void {
    const mode = matchMode(binding.args)
    const withReserved = mode.endsWith('-with-x')
    const keys: string[] = []
    const values: HeaderValue[] = []
    for (const [key, value] of binding.args) {
      if (key === MATCH_ARGUMENT) continue
      if (!withReserved && key.startsWith(RESERVED_PREFIX)) continue
      keys.push(key)
      values.push(value)
    }
    const any = mode.startsWith('any')
    this.#conditions.set(binding, { target: binding.target, any, keys, values })
  }

  protected override drop(binding: KeptBinding<T>): void {
    this.#conditions.delete(binding)
  }
}

function fits<T>(condition: Condition<T>, headers: HeaderMap): boolean {
  const { any, keys, values } = condition
  for (let index = 0; index < keys.length; index++) {
    const wanted = values[index]!
    const found = headers.get(keys[index]!)
    const same = found !== undefined && (wanted === null || equalHeaderValues(wanted, found))
    if (same === any) return any
  }
  return !any
}

function matchMode(args: HeaderMap): string {
  const mode = args.get(MATCH_ARGUMENT)
  if (mode === undefined) return 'all'
  if (typeof mode !== 'string') {
    throw new BrokerError(
      'PRECONDITION_FAILED',
      `Invalid x-match field type ${typeName(mode)}; expected longstr`,
    )
  }
  if (mode === 'all' || mode === 'any' || mode === 'all-with-x' || mode === 'any-with-x')
    return mode
  throw new BrokerError(
    'PRECONDITION_FAILED',
    `Invalid x-match field value <<"${mode}">>; expected all, any, all-with-x, or any-with-x`,
  )
}

function typeName(value: HeaderValue): string {
  if (value === null) return 'void'
  if (Array.isArray(value)) return 'array'
  if (value instanceof Uint8Array) return 'binary'
  return typeof value === 'object' ? 'table' : typeof value
}
