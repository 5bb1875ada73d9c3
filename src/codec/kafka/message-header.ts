import type { KafkaReader } from './kafka-reader.ts'
import type { KafkaWriter } from './kafka-writer.ts'
import { KafkaMessageError } from './message-error.ts'

/**
 * What is in front of every request:
 *
 *     apiKey int16, apiVersion int16, correlationId int32      header v0
 *     clientId nullable string, never compact                  header v1
 *     tagged fields                                            header v2
 */
export interface RequestHeader {
  readonly apiKey: number
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
}

/** Header v2 goes with the flexible versions of an API; the caller knows which those are. */
export type IsFlexible = (apiKey: number, apiVersion: number) => boolean

export function readRequestHeader(reader: KafkaReader, isFlexible: IsFlexible): RequestHeader {
  reader.flexible = false
  const apiKey = reader.int16()
  const apiVersion = reader.int16()
  const correlationId = reader.int32()
  const clientId = reader.nullableString()
  reader.flexible = isFlexible(apiKey, apiVersion)
  reader.skipTags()
  return { apiKey, apiVersion, correlationId, clientId }
}

/** Response header v0, or with `flexible` v1. ApiVersions is answered with v0 at every version. */
export function writeResponseHeader(
  writer: KafkaWriter,
  correlationId: number,
  flexible: boolean,
): void {
  writer.int32(correlationId)
  if (flexible) writer.uvarint(0)
}

/** Octets of the size that is in front of every request and every response. */
export const SIZE_BYTES = 4

/**
 * The size of the request that starts at `at`, without the four octets that tell it; null means
 * "wait for more". A size that no request may have is refused before memory is taken for it.
 */
export function requestSize(
  bytes: Buffer,
  window: { readonly at: number; readonly end: number },
  sizeMax: number,
): number | null {
  if (window.end - window.at < SIZE_BYTES) return null
  const size = bytes.readInt32BE(window.at)
  if (size < 0) throw new KafkaMessageError(`a request of ${size} octets`)
  if (size > sizeMax) {
    throw new KafkaMessageError(`a request of ${size} octets, limit is ${sizeMax}`)
  }
  return size
}
