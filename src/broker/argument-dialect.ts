import type { HeaderValue } from '../model/header-value.ts'
import type { DestinationSpec } from './destination.ts'
import type { DestinationPolicy } from './policy.ts'

/**
 * What a protocol knows of the arguments that destinations are declared with in its words. The
 * broker keeps arguments as they came and acts on the settings that a dialect reads from them.
 */
export interface ArgumentDialect {
  /** Whether a destination like that one may have the argument. */
  takes(spec: DestinationSpec, key: string): boolean
  /** Whether it stays as long as the destination does. */
  isFixed(key: string): boolean
  /** As declarations in this dialect have it. */
  valueOf(value: HeaderValue): HeaderValue
  /**
   * What those of its arguments that stand in `spec` set, and whatever is so by default. Throws
   * `PRECONDITION_FAILED` with the argument that cannot be so, and why.
   */
  settings(spec: DestinationSpec, vhost: string): DestinationPolicy
}
