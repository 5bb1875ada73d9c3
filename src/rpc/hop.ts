import type { Status, StatusDetail } from './status.ts'

/**
 * How far a call got that a broker or a connection ended: `unrouted`, nobody was there; `queued`, it
 * never left us; `delivered`, it was handed to a provider's connection; `started`, the provider had
 * begun; `reply_lost`, the answer had begun. The first two certainly had no effect.
 */
export type HopStage = (typeof STAGES)[number]

const STAGES = ['unrouted', 'queued', 'delivered', 'started', 'reply_lost'] as const

/** The detail `waystation.rpc.v1.Hop`; docs/rpc.md has its fields. */
export interface Hop {
  readonly stage: HopStage
  /** The instance id of the provider; empty when it came to none. */
  readonly provider: string
  /** How long it waited for a provider. */
  readonly waitedMs: number
}

/**
 * The details of a call that found nothing by its name where nothing will come: there is no more to
 * say, and whoever ends the call in HTTP's terms knows it by this.
 */
export const NOT_FOUND_DETAILS: readonly StatusDetail[] = []

export const HOP_TYPE = 'type.googleapis.com/waystation.rpc.v1.Hop'

/** Field numbers, shifted as protobuf's tags are. */
const TAG = { STAGE: 0x08, PROVIDER: 0x12, WAITED_MS: 0x18 } as const
const PROVIDER_BYTES_MAX = 127

/** As a protobuf message: `Stage stage = 1; string provider = 2; uint64 waited_ms = 3;`. */
export function hopDetail({ stage, provider, waitedMs }: Hop): StatusDetail {
  const name = Buffer.from(provider).subarray(0, PROVIDER_BYTES_MAX)
  const bytes = [TAG.STAGE, STAGES.indexOf(stage) + 1]
  if (name.length > 0) bytes.push(TAG.PROVIDER, name.length, ...name)
  let waited = Math.max(Math.trunc(waitedMs), 0)
  if (waited > 0) bytes.push(TAG.WAITED_MS)
  for (; waited > 0x7f; waited = Math.floor(waited / 0x80)) bytes.push((waited & 0x7f) | 0x80)
  if (waited > 0) bytes.push(waited)
  return { type: HOP_TYPE, value: Uint8Array.from(bytes) }
}

/** The first hop among details; null when there is none, or none that can be read. */
export function hopOf({ details }: Pick<Status, 'details'>): Hop | null {
  const detail = details.find(({ type }) => type === HOP_TYPE)
  return detail === undefined ? null : decodeHop(detail.value)
}

function decodeHop(value: Uint8Array): Hop | null {
  let stage: HopStage | undefined
  let provider = ''
  let waitedMs = 0
  for (let at = 0; at < value.length;) {
    const tag = value[at++]
    let number = 0
    let scale = 1
    for (; at < value.length && value[at]! > 0x7f; scale *= 0x80)
      number += (value[at++]! & 0x7f) * scale
    number += (value[at++] ?? 0) * scale
    if (tag === TAG.STAGE) stage = STAGES[number - 1]
    else if (tag === TAG.WAITED_MS) waitedMs = number
    else if (tag === TAG.PROVIDER) {
      provider = Buffer.from(value.subarray(at, at + number)).toString('utf8')
      at += number
    } else return null
  }
  return stage === undefined ? null : { stage, provider, waitedMs }
}

/** Whether it is certain that no handler saw the call, so that it may be made again. */
export function isUndelivered(status: Pick<Status, 'details'>): boolean {
  if (status.details.length === 0) return false
  const stage = hopOf(status)?.stage
  return stage === 'unrouted' || stage === 'queued'
}
