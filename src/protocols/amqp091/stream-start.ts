import type { StreamStart } from '../../broker/index.ts'
import { fieldInteger, fieldTypeName, type FieldValue } from '../../codec/amqp091/index.ts'
import { preconditionFailed } from './errors.ts'
import { ageMsOf } from './queue-arguments.ts'

/** Where `x-stream-offset` says to start; throws 406 for what says nothing. */
export function streamStartOf(
  value: FieldValue | undefined,
  nowMs: number,
  invalidPlace: string,
): StreamStart {
  if (value === undefined) return { kind: 'next' }
  if (value === 'first' || value === 'last' || value === 'next') return { kind: value }
  if (typeof value === 'string') {
    const ageMs = ageMsOf(value)
    if (ageMs !== null) return { kind: 'time', timeMs: nowMs - ageMs }
    throw invalid(`{longstr,<<"${value}">>}`, invalidPlace)
  }
  const offset = fieldInteger(value)
  if (offset !== null) return { kind: 'offset', offset: Math.max(0, Number(offset)) }
  if (
    value !== null &&
    typeof value === 'object' &&
    'type' in value &&
    value.type === 'timestamp'
  ) {
    return { kind: 'time', timeMs: Number(value.value) * 1000 }
  }
  throw invalid(fieldTypeName(value), invalidPlace)
}

function invalid(what: string, place: string): Error {
  return preconditionFailed(
    `invalid arg 'x-stream-offset' ${place}: {invalid_stream_offset_arg,${what}}`,
  )
}
