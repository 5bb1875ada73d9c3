import { FILTER_ARGUMENTS, MessageFilter } from '../../broker/index.ts'
import { BrokerError } from '../../model/errors.ts'
import { type HeaderMap, NO_HEADERS } from '../../model/header-value.ts'

type UserProperties = readonly (readonly [name: string, value: string])[]

/** What a subscriber wants of the messages of its topics, as a session keeps it. */
export type Wanted = Readonly<Record<string, string>>

const NAMES: readonly string[] = [FILTER_ARGUMENTS.SQL, FILTER_ARGUMENTS.TAGS]

/** What the user properties of a SUBSCRIBE ask for; undefined: everything. */
export function wantedOf(properties: UserProperties): Wanted | undefined {
  const asked = properties.filter(([name]) => NAMES.includes(name))
  if (asked.length === 0) return undefined
  const wanted = Object.fromEntries(asked)
  if (Object.keys(wanted).length === asked.length) return wanted
  throw new BrokerError('PRECONDITION_FAILED', 'a filter is given twice')
}

/** As arguments of a binding, which then takes nothing else. */
export function argumentsOf(wanted: Wanted | undefined): HeaderMap {
  return wanted === undefined ? NO_HEADERS : new Map(Object.entries(wanted))
}

/** Null: everything. Throws `PRECONDITION_FAILED` with what is wrong. */
export function messageFilterOf(wanted: Wanted | undefined): MessageFilter | null {
  return wanted === undefined ? null : MessageFilter.of(argumentsOf(wanted))
}
