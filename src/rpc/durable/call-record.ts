import { Metadata, type MetadataValue } from '../metadata.ts'
import { type Status, statusOf, type StatusName } from '../status.ts'

/** How a call ended, for whoever asks. */
export interface Outcome {
  readonly status: Status
  readonly trailers: Metadata
  /** The answer; null: there is none. */
  readonly answer: Buffer | null
}

/** `dead`: it lies in the dead letters, and `outcome` is how its last attempt ended. */
export type StoredState = 'waiting' | 'done' | 'dead'

/** What is stored of one call beside its message. */
export interface CallRecord {
  readonly path: string
  readonly key: string | null
  readonly contentType: string
  readonly acceptedMs: number
  /** How long its outcome is kept. */
  readonly keepMs: number
  /** Of its message when it was stored; -1: it is not known. */
  readonly offset: number
  readonly state: StoredState
  /** When it is forgotten; 0: not as long as it waits. */
  readonly expiresMs: number
  readonly outcome: Outcome | null
}

/** All but the answer. Rare beside messages, so readable. */
interface Head extends Omit<CallRecord, 'outcome'> {
  readonly status?: readonly [StatusName, string, readonly (readonly [string, string])[]]
  /** Name, value; bytes as base64, as their names say. */
  readonly trailers?: readonly string[]
  readonly hasAnswer?: boolean
}

/** `u32 n, head (n) as JSON, answer`. */
export function encodeCallRecord({ outcome, ...facts }: CallRecord): Buffer {
  const head: Head = outcome === null ? facts : { ...facts, ...outcomeHead(outcome) }
  const json = Buffer.from(JSON.stringify(head), 'utf8')
  const size = Buffer.allocUnsafe(4)
  size.writeUInt32BE(json.length)
  const answer = outcome?.answer ?? null
  return Buffer.concat(answer === null ? [size, json] : [size, json, answer])
}

export function decodeCallRecord(bytes: Buffer): CallRecord {
  const end = 4 + bytes.readUInt32BE(0)
  const head = JSON.parse(bytes.toString('utf8', 4, end)) as Head
  const { status, trailers, hasAnswer, ...facts } = head
  if (status === undefined) return { ...facts, outcome: null }
  const [code, message, details] = status
  return {
    ...facts,
    outcome: {
      status: statusOf(
        code,
        message,
        details.map(([type, value]) => ({ type, value: Buffer.from(value, 'base64') })),
      ),
      trailers: decodeMetadata(trailers ?? []),
      answer: hasAnswer === true ? bytes.subarray(end) : null,
    },
  }
}

function outcomeHead({
  status,
  trailers,
  answer,
}: Outcome): Pick<Head, 'status' | 'trailers' | 'hasAnswer'> {
  const details = status.details.map(
    ({ type, value }) => [type, Buffer.from(value).toString('base64')] as const,
  )
  return {
    status: [status.code, status.message, details],
    ...(trailers.size === 0 ? {} : { trailers: encodeMetadata(trailers) }),
    ...(answer === null ? {} : { hasAnswer: true }),
  }
}

function encodeMetadata(metadata: Metadata): string[] {
  return metadata.flat.map((part) =>
    typeof part === 'string' ? part : Buffer.from(part).toString('base64'),
  )
}

function decodeMetadata(parts: readonly string[]): Metadata {
  const flat: MetadataValue[] = []
  for (let index = 0; index < parts.length; index += 2) {
    const name = parts[index]!
    const value = parts[index + 1]!
    flat.push(name, name.endsWith('-bin') ? Buffer.from(value, 'base64') : value)
  }
  return Metadata.fromFlat(flat)
}
