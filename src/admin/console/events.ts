import type { Hono } from 'hono'
import type { AdminParts } from '../admin-parts.ts'
import type { AdminContext } from '../authentication.ts'
import { errorBody } from '../errors.ts'
import { query } from '../validation.ts'
import type { Beat, Sample } from '../../model/shapes/beats.ts'
import { destinationBeat } from './destination-beats.ts'
import { STREAM_BYTES_MAX, STREAMS_MAX } from './limits.ts'
import type { Sampler } from './sampler.ts'
import { type EventsQuery, eventsQuery } from './schemas.ts'
import type { ConsoleSession, ConsoleSessions } from './sessions.ts'

interface EventsParts {
  readonly sampler: Sampler
  readonly sessions: ConsoleSessions
}

const ENCODER = new TextEncoder()

/**
 * Server-sent events: `start` with the beats of the last minutes, then `beat` once a second. A page
 * that does not read misses beats; nothing is kept for it but what its connection holds.
 */
export function addEvents(
  app: Hono<AdminContext>,
  parts: AdminParts,
  { sampler, sessions }: EventsParts,
): void {
  app.get('/v1/events', (context) => {
    const asked = query(context, eventsQuery)
    if (sampler.viewerCount >= STREAMS_MAX) {
      const message = `there are ${STREAMS_MAX} pages open, which is the most there can be`
      return context.json(errorBody('UNAVAILABLE', message), 503)
    }
    // Null: not by the page, but with a password or the token in each request.
    const session = sessions.find(context.req.raw)
    const stream = openStream(parts, sampler, { asked, isOpen: () => isOpen(sessions, session) })
    return new Response(stream, {
      headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' },
    })
  })
}

function isOpen(sessions: ConsoleSessions, session: ConsoleSession | null): boolean {
  return session === null || sessions.isOpen(session)
}

interface StreamOptions {
  readonly asked: EventsQuery
  /** False: whoever looked was logged out. */
  readonly isOpen: () => boolean
}

function openStream(
  parts: AdminParts,
  sampler: Sampler,
  { asked, isOpen }: StreamOptions,
): ReadableStream<Uint8Array> {
  let unwatch = (): void => {}
  const end = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    unwatch()
    controller.close()
  }
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        unwatch = sampler.watch({
          sampled: (sample) => {
            if (!isOpen()) end(controller)
            else if ((controller.desiredSize ?? 0) > 0) {
              controller.enqueue(eventOf('beat', beatOf(parts, sample, asked)))
            }
          },
          ended: () => end(controller),
        })
        controller.enqueue(eventOf('start', { samples: sampler.samples }))
      },
      cancel: () => unwatch(),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: STREAM_BYTES_MAX }),
  )
}

function beatOf({ broker }: AdminParts, sample: Sample, asked: EventsQuery): Beat {
  const { vhost, destination: name } = asked
  if (vhost === undefined || name === undefined) return { sample, destination: null }
  const destination = broker.vhost(vhost)?.destination(name)
  return { sample, destination: destination === undefined ? null : destinationBeat(destination) }
}

function eventOf(event: 'start' | 'beat', data: object): Uint8Array {
  return ENCODER.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
}
