/** What both programs under test share: fields of the suite's messages, which the compiler cannot know. */
import { type Metadata, type MetadataValue, type StatusName } from '../../../src/client/index.ts'
import { STATUS_CODES, statusNameOf } from '../../../src/rpc/status.ts'

export interface Header {
  readonly name: string
  readonly value: readonly string[]
}

export interface AnyMessage {
  readonly typeUrl: string
  readonly value: Uint8Array
}

export interface ErrorFields {
  readonly code: number
  readonly message?: string
  readonly details: readonly AnyMessage[]
}

/** Binary values are written in base64. */
export function entriesOf(headers: readonly Header[]): [string, MetadataValue][] {
  return headers.flatMap(({ name, value }) =>
    value.map((text): [string, MetadataValue] => [
      name,
      name.toLowerCase().endsWith('-bin') ? Buffer.from(text, 'base64') : text,
    ]),
  )
}

export function headersOf(metadata: Metadata): Header[] {
  const byName = new Map<string, string[]>()
  for (const [name, value] of metadata) {
    const text =
      typeof value === 'string' ? value : Buffer.from(value).toString('base64').replace(/=+$/, '')
    byName.set(name, [...(byName.get(name) ?? []), text])
  }
  return [...byName].map(([name, value]) => ({ name, value }))
}

export function codeOf(number: number): Exclude<StatusName, 'OK'> {
  const name = statusNameOf(number)
  return name === 'OK' ? 'UNKNOWN' : name
}

export function numberOf(code: StatusName): number {
  return STATUS_CODES[code]
}
