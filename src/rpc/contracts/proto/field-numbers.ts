import type { ShapeMessage } from './shape.ts'

/** A field of a message that has its number for ever. */
export interface NumberedField {
  readonly number: number
  /** What it was then: with another type it is another field. */
  readonly type: string
}

export interface MessageNumbers {
  /** By the names that the schema has. */
  readonly fields: Readonly<Record<string, NumberedField>>
  /** Numbers that nothing may have any more, and the names they were of. */
  readonly reserved?: Readonly<Record<string, string>>
}

/**
 * The numbers that fields have in protobuf, by full names of messages. A file of them is kept with
 * the contract, so that a field keeps its number whatever comes and goes beside it.
 */
export type FieldNumbers = Readonly<Record<string, MessageNumbers>>

/** Numbers that protobuf keeps for itself. */
const KEPT_FIRST = 19_000
const KEPT_LAST = 19_999

/**
 * Numbers for a message's fields: what `known` has, and the next free one for every new field. A
 * field that is gone, or whose type is another now, leaves its number reserved.
 */
export function numbered(
  message: ShapeMessage,
  types: ReadonlyMap<string, string>,
  known: MessageNumbers = { fields: {} },
): MessageNumbers {
  const fields: Record<string, NumberedField> = {}
  const reserved: Record<string, string> = { ...known.reserved }
  const before = Object.entries(known.fields)
  for (const [name, field] of before) {
    if (types.get(name) === field.type) fields[name] = field
    else reserved[field.number] = name
  }
  const taken = [...before.map(([, { number }]) => number), ...Object.keys(reserved).map(Number)]
  let last = Math.max(0, ...taken)
  for (const { jsonName } of message.fields) {
    if (fields[jsonName] !== undefined) continue
    last += 1
    if (last >= KEPT_FIRST && last <= KEPT_LAST) last = KEPT_LAST + 1
    fields[jsonName] = { number: last, type: types.get(jsonName)! }
  }
  return Object.keys(reserved).length === 0 ? { fields } : { fields, reserved }
}
