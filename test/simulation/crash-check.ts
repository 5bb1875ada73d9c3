import assert from 'node:assert/strict'
import { STREAM } from './queue-kinds.ts'
import type { Model, Sighting } from './model.ts'
import type { ModelQueue } from './model-queue.ts'
import { type Place, type Stay, type Token, tokenKey } from './token.ts'

/** What stands in the broker when it rests after a restart. */
export interface Found {
  readonly queues: ReadonlyMap<ModelQueue, readonly Sighting[]>
  /** Messages held back and not due. */
  readonly delayedCount: number
  readonly stream: readonly number[]
}

/**
 * Checks what a restart found: it must be what the broker held after one of its commits - all of
 * that commit and nothing of the next - and none of those that were promised may be missing.
 * Afterwards that is what the model holds too.
 */
export function adoptFound(
  model: Model,
  found: Found,
  commits: { readonly promised: number; readonly last: number },
): void {
  const places = placesOf(model, found)
  const complaints: string[] = []
  for (let ticket = commits.last; ticket >= commits.promised; ticket--) {
    const wrong = complaintsAt(model, found, { places, ticket })
    if (wrong.length === 0) {
      adopt(model, found, { places, ticket })
      return
    }
    complaints.push(`  after commit ${ticket}: ${wrong.slice(0, 4).join('\n    ')}`)
  }
  const range = `${commits.promised} (promised) to ${commits.last}`
  assert.fail(
    `the store is in no state that it was in after commits ${range}:\n${complaints.join('\n')}`,
  )
}

type Places = ReadonlyMap<Token, Spot>

function placesOf(model: Model, found: Found): Places {
  const places = new Map<Token, Spot>()
  for (const [queue, sightings] of found.queues) {
    for (const seen of sightings) {
      const token = model.tokens.get(tokenKey(seen.id, seen.origin))
      const label = `message ${seen.id} of '${seen.origin}'`
      assert.ok(token !== undefined, `${label} in ${queue.label} was never sent or is long gone`)
      assert.ok(!places.has(token), `${token} is there twice after the restart`)
      places.set(token, { queue, seen })
    }
  }
  return places
}

interface Moment {
  readonly places: Places
  readonly ticket: number
}

function complaintsAt(model: Model, found: Found, { places, ticket }: Moment): string[] {
  const wrong: string[] = []
  for (const token of model.tokens.values()) {
    const at = places.get(token) ?? null
    if (explain(model, found, { token, at, ticket }) === null) {
      const attempts = at === null ? '' : ` as ${at.seen.offset}, ${at.seen.attempts} attempts`
      wrong.push(`${token} is ${at === null ? 'nowhere' : `in ${at.queue.label}${attempts}`}`)
    }
  }
  const stream = model.stream.filter((entry) => entry.ticket <= ticket).map((entry) => entry.id)
  if (stream.join() !== found.stream.join()) {
    wrong.push(`stream '${STREAM}' holds ${found.stream.join()}, not ${stream.join()}`)
  }
  const delayed = [...model.tokens.values()].filter((token) => {
    const isHeld = token.staysAt(ticket).some(({ place }) => place === 'delayed')
    return isHeld && token.dueMs > model.now()
  })
  if (found.delayedCount !== delayed.length) {
    wrong.push(`${found.delayedCount} messages are held back, not ${delayed.length}`)
  }
  return wrong
}

interface Spot {
  readonly queue: ModelQueue
  readonly seen: Sighting
}

/**
 * The stay that a token is in now, if one that the commit may have left, or one that follows from
 * it by itself, explains where it is; else null.
 */
function explain(
  model: Model,
  found: Found,
  { token, at, ticket }: { token: Token; at: Spot | null; ticket: number },
): Stay | null {
  const stays = token.staysAt(ticket)
  // Before its first commit it was nowhere.
  if (stays.length === 0 && at === null) return token.history[0]!
  for (const stay of stays) {
    if (isAsLeft(found, { token, stay, at, ticket, nowMs: model.now() })) return stay
    for (const next of followers(model, token, stay)) {
      const place = isSeen(found, token, next, model.now())
      if (place === (at?.queue ?? 'gone') && (at?.seen.attempts ?? 0) === 0) return next
    }
  }
  return null
}

/** Whether it is just where and as the stay left it. */
function isAsLeft(
  found: Found,
  given: { token: Token; stay: Stay; at: Spot | null; ticket: number; nowMs: number },
): boolean {
  const { token, stay, at, ticket, nowMs } = given
  if (isSeen(found, token, stay, nowMs) !== (at?.queue ?? 'gone')) return false
  if (at === null || stay !== token.stay) return true
  if (token.offset >= 0 && token.offset !== at.seen.offset) return false
  return !at.queue.kind.countsAttempts || at.seen.attempts === token.attemptsAt(ticket)
}

/** What may come of a stay without anybody doing anything, before or after the restart. */
function followers(model: Model, token: Token, stay: Stay): Stay[] {
  const found: Stay[] = []
  // What a consumer did counts if it died before the crash; nothing of it does afterwards.
  for (const start of [stay, { ...stay }]) {
    for (let next: Stay | null = start; next !== null && found.length < 8;) {
      next = model.nextStay(next, token, undefined, (queue) => queue.isDropping)
      if (next !== null) found.push(next)
    }
  }
  return found
}

/** Where a stay shows after a restart. */
function isSeen(found: Found, token: Token, { place }: Stay, nowMs: number): Place {
  if (place === 'delayed') return token.dueMs > nowMs ? 'gone' : 'delayed'
  if (place === 'gone' || !place.isStored) return 'gone'
  // A deletion that was asked for may have been stored.
  if (place.isDeleteAsked && !found.queues.has(place)) return 'gone'
  return place
}

function adopt(model: Model, found: Found, moment: Moment): void {
  const { places, ticket } = moment
  for (const queue of [...model.queues.values(), ...model.deleted]) {
    queue.tokens.clear()
    queue.dropCount = 0
    queue.mayDrop = false
  }
  for (const [key, token] of model.tokens) {
    const at = places.get(token) ?? null
    if (at === null) {
      const held = token.staysAt(ticket).find(({ place }) => place === 'delayed')
      if (held === undefined || token.dueMs <= model.now()) model.tokens.delete(key)
      else reset(token, held)
      continue
    }
    const attempts = at.seen.attempts
    reset(token, explain(model, found, { token, at, ticket })!)
    token.offset = at.seen.offset
    token.delivered = 'perhaps'
    if (attempts > 0) token.attempts = [{ ticket: 0, count: attempts }]
    at.queue.tokens.add(token)
  }
  model.stream = found.stream.map((id) => ({ id, ticket: 0 }))
}

function reset(token: Token, stay: Stay): void {
  token.history.length = 0
  token.history.push({ ...stay, from: 0, to: 0 })
  token.isOut = false
  token.dying = null
  token.attempts = []
}
