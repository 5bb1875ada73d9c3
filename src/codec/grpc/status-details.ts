import { decodeFields, encodeFields, textOf } from './protobuf.ts'

/** One `google.protobuf.Any`. */
export interface AnyDetail {
  readonly type: string
  readonly value: Uint8Array
}

/** A `google.rpc.Status`, as `grpc-status-details-bin` carries it. */
export function encodeStatus(code: number, message: string, details: readonly AnyDetail[]): Buffer {
  return encodeFields([
    ...(code === 0 ? [] : [[1, code] as const]),
    ...(message === '' ? [] : [[2, message] as const]),
    ...details.map(
      ({ type, value }) =>
        [
          3,
          encodeFields([
            [1, type],
            [2, value],
          ]),
        ] as const,
    ),
  ])
}

/** The details of one; none of what is no such message. */
export function decodeDetails(bytes: Uint8Array): AnyDetail[] {
  const details: AnyDetail[] = []
  for (const [number, value] of decodeFields(bytes) ?? []) {
    if (number !== 3 || !(value instanceof Uint8Array)) continue
    const fields = decodeFields(value)
    if (fields === null) continue
    const octets = fields.findLast(([known]) => known === 2)?.[1]
    details.push({
      type: textOf(fields, 1),
      value: octets instanceof Uint8Array ? Uint8Array.from(octets) : new Uint8Array(0),
    })
  }
  return details
}
