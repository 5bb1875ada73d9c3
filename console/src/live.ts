import type { Beat, DestinationBeat, Sample } from '../../src/model/shapes/beats.ts'
import { queryText } from './api.ts'
import { Cell } from './cell.ts'

/** Of one destination, with rates per second. */
export interface DestinationPoint extends DestinationBeat {
  readonly atMs: number
  readonly enqueueRate: number
  readonly deliverRate: number
  readonly settleRate: number
}

const POINTS_MAX = 300
const RETRY_MS = 3000

export const samples = new Cell<readonly Sample[]>([])
export const points = new Cell<readonly DestinationPoint[]>([])
/** Whether the broker can be heard. */
export const isLive = new Cell(false)

let source: EventSource | null = null
let retry = 0
let looked: { readonly vhost: string; readonly destination: string } | null = null

/** Opens the one stream of this page. */
export function listen(): void {
  hush()
  const opened = new EventSource(`v1/events${queryText(looked ?? {})}`)
  source = opened
  opened.addEventListener('start', ({ data }) => {
    isLive.set(true)
    samples.set((JSON.parse(data as string) as { samples: readonly Sample[] }).samples)
  })
  opened.addEventListener('beat', ({ data }) => take(JSON.parse(data as string) as Beat))
  opened.addEventListener('error', () => {
    isLive.set(false)
    // An answer that is no stream ends it for good; the broker may be starting again.
    if (opened.readyState === EventSource.CLOSED) retry = window.setTimeout(listen, RETRY_MS)
  })
}

/** Closes it. */
export function hush(): void {
  window.clearTimeout(retry)
  source?.close()
  source = null
}

/** Which destination is looked at closely; null: none. */
export function lookAt(destination: typeof looked): void {
  if (looked?.vhost === destination?.vhost && looked?.destination === destination?.destination) {
    return
  }
  looked = destination
  points.set([])
  if (source !== null) listen()
}

function take({ sample, destination }: Beat): void {
  samples.set([...samples.value, sample].slice(-POINTS_MAX))
  if (destination !== null)
    points.set([...points.value, pointOf(destination, sample.atMs)].slice(-POINTS_MAX))
}

function pointOf(beat: DestinationBeat, atMs: number): DestinationPoint {
  const before = points.value.at(-1)
  const seconds = before === undefined ? 0 : (atMs - before.atMs) / 1000
  const rate = (name: 'enqueued' | 'delivered' | 'settled'): number => {
    return before === undefined || seconds <= 0
      ? 0
      : Math.max(0, (beat[name] - before[name]) / seconds)
  }
  return {
    ...beat,
    atMs,
    enqueueRate: rate('enqueued'),
    deliverRate: rate('delivered'),
    settleRate: rate('settled'),
  }
}
