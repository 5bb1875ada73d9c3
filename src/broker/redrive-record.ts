import type { RedriveOptions, RedrivePlace } from './redrive.ts'

/** A re-drive as it is kept: on which queue, and what it was asked to do. */
export interface StoredRedrive {
  readonly id: number
  readonly vhost: string
  readonly queue: string
  /** A queue that is declared again under its name is another one. */
  readonly queueId: number
  readonly options: RedriveOptions
}

/** Rare and small, so readable JSON; what it has no word for is null. */
export function encodeOptions({ vhost, queue, queueId, options }: StoredRedrive): Buffer {
  const { rate, countMax, edit, body } = options
  return json({
    ...{ vhost, queue, queueId },
    options: {
      ...options,
      rate: rate === Infinity ? null : rate,
      countMax: countMax === Infinity ? null : countMax,
      edit: { set: [...edit.set], remove: edit.remove },
      body: body === null ? null : body.toString('base64'),
    },
  })
}

export function encodePlace(place: RedrivePlace): Buffer {
  return json(place)
}

/** Throws where it cannot be read. */
export function decodeRedrive(
  id: number,
  stored: Buffer,
  placed: Buffer | undefined,
): { readonly stored: StoredRedrive; readonly place: RedrivePlace } {
  if (placed === undefined) throw new Error(`where redrive ${id} stands is not stored`)
  const { vhost, queue, queueId, options } = JSON.parse(stored.toString('utf8')) as Encoded
  const { rate, countMax, edit, body } = options
  return {
    stored: {
      ...{ id, vhost, queue, queueId },
      options: {
        ...options,
        rate: rate ?? Infinity,
        countMax: countMax ?? Infinity,
        edit: { set: new Map(edit.set), remove: edit.remove },
        body: body === null ? null : Buffer.from(body, 'base64'),
      },
    },
    place: JSON.parse(placed.toString('utf8')) as RedrivePlace,
  }
}

interface Encoded extends Omit<StoredRedrive, 'id' | 'options'> {
  readonly options: Omit<RedriveOptions, 'rate' | 'countMax' | 'edit' | 'body'> & {
    readonly rate: number | null
    readonly countMax: number | null
    readonly edit: { readonly set: [string, string][]; readonly remove: string[] }
    readonly body: string | null
  }
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8')
}
