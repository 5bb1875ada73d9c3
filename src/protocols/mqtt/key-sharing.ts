import { type KeySharing, keySharingOf } from '../../broker/index.ts'
import { BrokerError } from '../../model/errors.ts'

type UserProperties = readonly (readonly [name: string, value: string])[]

/** User properties of a SUBSCRIBE that ask for order by key. */
const SHARED = 'x-key-shared'
const HEADER = 'x-key-header'

/** What a SUBSCRIBE asks for; undefined: nothing. Throws `PRECONDITION_FAILED`. */
export function keySharingAsked(properties: UserProperties): KeySharing | null | undefined {
  const settings: { keyShared?: boolean; keyHeader?: string } = {}
  for (const [name, value] of properties) {
    if (name === HEADER) settings.keyHeader = value
    else if (name === SHARED) {
      if (value !== 'true' && value !== 'false') {
        throw new BrokerError('PRECONDITION_FAILED', `${SHARED} is '${value}', not true or false`)
      }
      settings.keyShared = value === 'true'
    }
  }
  return Object.keys(settings).length === 0 ? undefined : keySharingOf(settings)
}
