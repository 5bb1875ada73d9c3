import assert from 'node:assert/strict'
import type { DeathReason } from '../../src/broker/index.ts'
import { ModelQueue } from './model-queue.ts'
import { KEYED } from './queue-kinds.ts'
import { type Place, type Stay, Token, isCircle, tokenKey, withDeath } from './token.ts'

/** What somebody saw of a message in a queue. */
export interface Sighting {
  readonly id: number
  readonly origin: string
  readonly offset: number
  readonly attempts: number
  readonly redelivered: boolean
  readonly reasons: readonly DeathReason[]
}

/**
 * What the broker should hold. It knows what was done to it and what time it is; what the broker
 * does by itself - expiry, dead letters, limits, delays - it accepts exactly where that is due,
 * and demands at every moment of rest that what is due was done.
 */
export class Model {
  readonly queues: Map<string, ModelQueue> = new Map()
  /** Queues whose deletion was asked for and may not be stored. */
  readonly deleted: Set<ModelQueue> = new Set()
  readonly tokens: Map<string, Token> = new Map()
  readonly bindings: Map<string, { isStored: boolean; isUnbindAsked: boolean }> = new Map()
  /** Bodies of the stream in order, with the commit of each. */
  stream: { id: number; ticket: number }[] = []
  now: () => number = () => 0
  ticket: () => number = () => 0
  #nextId = 1
  #sequence = 0

  takeId(): number {
    return this.#nextId++
  }

  /** Notes that a message goes to a queue, before the broker is told. */
  publish(
    target: ModelQueue | 'delayed',
    given: {
      id: number
      origin: string
      size: number
      priority: number
      ttlMs: number
      delayMs: number
      orderKey?: string
      deaths?: Stay['deaths']
    },
  ): Token {
    const { id, origin, size, priority, ttlMs, delayMs, orderKey = '', deaths = [] } = given
    const ticket = this.ticket()
    const dueMs = target === 'delayed' ? this.now() + delayMs : 0
    const ownMs = ttlMs < 0 ? Infinity : this.now() + ttlMs
    const token = new Token({
      id,
      origin,
      size,
      priority,
      orderKey,
      dueMs,
      sequence: this.#sequence++,
      stay: {
        place: target,
        from: ticket,
        to: ticket,
        deaths,
        ...expiry(target, this.now(), this.now(), ownMs),
      },
    })
    check(!this.tokens.has(token.key), () => `${token} is published twice`)
    this.tokens.set(token.key, token)
    if (target !== 'delayed') {
      target.tokens.add(token)
      target.grew()
    }
    return token
  }

  /** What surely waits under an id; null: nothing does, or it is due and nobody knows. */
  waitingAs(scheduleId: string): Token | null {
    for (const token of this.tokens.values()) {
      if (token.scheduleId === scheduleId && token.place === 'delayed') return token
    }
    return null
  }

  /** A consumer or getter was handed a message. */
  handedOut(
    queue: ModelQueue,
    seen: Sighting,
    { settles, holder }: { readonly settles: boolean; readonly holder: object },
  ): Token {
    const token = this.#found(queue, seen)
    check(!token.isOut, () => `${token} was handed out twice`)
    check(token.dying === null, () => `${token} was handed out though it was rejected`)
    if (queue.isKeyShared) this.#checkKeyTurn(queue, token, holder)
    else this.#checkTurn(queue, token)
    token.holder = holder
    this.#checkFlags(queue, token, seen)
    // Only a consumer that waited already gets a message of this turn, whatever its time to live.
    const isFresh = token.stay.from === this.ticket()
    check(isFresh || token.stay.expiresMax > this.now(), () => `${token} was handed out too late`)
    token.delivered = 'surely'
    if (settles) this.settled(token)
    else token.isOut = true
    return token
  }

  settled(token: Token): void {
    this.#move(token, 'gone', { from: this.ticket(), deaths: token.stay.deaths })
  }

  released(token: Token): void {
    token.isOut = false
    if (token.place instanceof ModelQueue) token.place.grew()
  }

  failed(token: Token): void {
    const queue = token.place
    if (!(queue instanceof ModelQueue)) return
    if (queue.kind.countsAttempts) {
      const count = token.attemptCount + 1
      if (count > (queue.kind.settings.attemptsMax ?? Infinity)) {
        this.dies(token, 'delivery_limit')
        return
      }
      token.attempts.push({ ticket: this.ticket(), count })
    }
    this.released(token)
  }

  dies(token: Token, reason: DeathReason): void {
    token.dying = { reason, ticket: this.ticket(), sinceMs: this.now() }
    const queue = token.place
    if (queue instanceof ModelQueue && queue.kind.settings.deadLetterExchange === undefined) {
      this.#move(token, 'gone', { from: this.ticket(), deaths: token.stay.deaths })
    }
  }

  purged(queue: ModelQueue): number {
    const ready = queue.ready
    for (const token of ready) this.settled(token)
    return ready.length
  }

  /** Every queue that takes what is published to an exchange with a key. */
  route(exchange: string, key: string): ModelQueue[] {
    if (exchange === KEYED) return [this.queues.get('keyed')!]
    if (exchange === '') {
      const queue = this.queues.get(key)
      return queue === undefined ? [] : [queue]
    }
    const names = [...this.bindings].filter(([, { isUnbindAsked }]) => !isUnbindAsked)
    return names.flatMap(([name]) => this.queues.get(name) ?? [])
  }

  /** The queue is asked away: nothing in it counts any more. */
  deleteAsked(queue: ModelQueue): void {
    queue.isDeleteAsked = true
    this.queues.delete(queue.name)
    this.deleted.add(queue)
    this.bindings.delete(queue.name)
  }

  /** The broker is at rest and shows a queue whole. */
  compare(seen: ReadonlyMap<ModelQueue, readonly Sighting[]>): void {
    const present = new Set<Token>()
    for (const [queue, sightings] of seen) {
      for (const sighting of sightings) {
        const token = this.#found(queue, sighting)
        check(!present.has(token), () => `${token} is there twice`)
        check(!token.isOut, () => `${token} waits in ${queue.label} though it is handed out`)
        check(token.dying === null, () => `${token} waits in ${queue.label} though it was rejected`)
        present.add(token)
        // It was looked at, and not handed out.
        if (!queue.isKeyShared) this.#checkFlags(queue, token, sighting)
      }
      this.#checkOrder(queue, sightings)
      this.#checkHeads(queue, sightings)
    }
    for (const queue of seen.keys()) {
      for (const token of queue.tokens) {
        if (!present.has(token) && !token.isOut) this.#mustBeGone(token)
      }
      queue.dropCount = 0
      queue.mayDrop = false
    }
    for (const token of this.tokens.values()) {
      const isDue = token.place === 'delayed' && token.dueMs <= this.now()
      if (isDue && !present.has(token)) this.#mustBeGone(token)
    }
  }

  /** Forgets what no check needs: whatever is gone and whose end is stored. */
  forget(ticket: number): void {
    for (const [key, token] of this.tokens) {
      if (token.place === 'gone' && token.stay.to <= ticket) this.tokens.delete(key)
    }
  }

  /**
   * Lets a token go where the broker may have let it go by itself, one step; false when there is
   * no reason for it to go anywhere.
   */
  step(token: Token, wanted: DeathReason | undefined): boolean {
    const next = this.nextStay(token.stay, token, wanted)
    if (next === null) return false
    const queue = token.place
    if (queue instanceof ModelQueue && next.reason === 'maxlen') queue.dropCount--
    this.#move(token, next.place, next)
    return true
  }

  nextStay(
    stay: Stay,
    token: Token,
    wanted: DeathReason | undefined,
    mayDrop: (queue: ModelQueue) => boolean = dropsNow,
  ): (Stay & { readonly reason: DeathReason | null }) | null {
    const queue = stay.place
    const to = this.ticket()
    if (queue === 'gone') return null
    if (queue === 'delayed') {
      if (token.dueMs > this.now()) return null
      const target = this.queues.get(token.origin)!
      const times = expiry(target, token.dueMs, this.now(), Infinity)
      return { place: target, from: stay.from, to, deaths: [], ...times, reason: null }
    }
    const isHere = token.stay === stay
    if (isHere && token.isOut && token.dying === null) return null
    const reasons: DeathReason[] = []
    if (isHere && token.dying !== null) reasons.push(token.dying.reason)
    else {
      if (stay.expiresMin <= this.now()) reasons.push('expired')
      if (queue.isDropping && mayDrop(queue)) reasons.push('maxlen')
    }
    if (reasons.length === 0) return null
    const reason = wanted !== undefined && reasons.includes(wanted) ? wanted : reasons[0]!
    const from = isHere ? (token.dying?.ticket ?? stay.from) : stay.from
    const deaths = withDeath(stay.deaths, { queue: queue.name, reason })
    const { deadLetterExchange, deadLetterRoutingKey } = queue.kind.settings
    const target =
      deadLetterExchange === undefined ? undefined : this.queues.get(deadLetterRoutingKey ?? '')
    if (target === undefined || isCircle(deaths, target.name)) {
      return { place: 'gone', from, to, deaths, ...NEVER, reason }
    }
    // It may have died at any time since, and its new life began then.
    let sinceMs = stay.sinceMs
    if (reason === 'expired') sinceMs = stay.expiresMin
    if (isHere && token.dying !== null) sinceMs = token.dying.sinceMs
    const times = expiry(target, sinceMs, this.now(), Infinity)
    return { place: target, from, to, deaths, ...times, reason }
  }

  #found(queue: ModelQueue, seen: Sighting): Token {
    const token = this.tokens.get(tokenKey(seen.id, seen.origin))
    const label = `message ${seen.id} of '${seen.origin}'`
    check(token !== undefined, () => `${label} in ${queue.label} was never sent or is long gone`)
    // It may have gone round and come back.
    const isElsewhere = (): boolean =>
      token.place !== queue || (token.dying !== null && token.offset !== seen.offset)
    for (let steps = 0; isElsewhere(); steps++) {
      const wanted = seen.reasons[0]
      const isMoved = steps < 6 && this.step(token, wanted)
      check(isMoved, () => `${token} turned up in ${queue.label}: ${seen.reasons.join(', ')}`)
    }
    if (token.offset >= 0) {
      check(seen.offset === token.offset, () => `${token} changed its offset`)
    }
    token.offset = seen.offset
    return token
  }

  #move(
    token: Token,
    place: Place,
    stay: { readonly from: number; readonly deaths: Stay['deaths'] } & Partial<Stay>,
  ): void {
    const old = token.place
    if (old instanceof ModelQueue) old.tokens.delete(token)
    token.enter({ ...NEVER, ...stay, place, to: this.ticket() })
    if (place instanceof ModelQueue) {
      place.tokens.add(token)
      place.grew()
    }
  }

  /** Nobody whose turn was earlier may still wait. */
  #checkTurn(queue: ModelQueue, token: Token): void {
    const level = queue.levelOf(token)
    for (const other of queue.tokens) {
      if (other === token || other.isOut || other.dying !== null) continue
      if (other.stay.expiresMin <= this.now() || queue.dropCount > 0 || queue.mayDrop) continue
      if (queue.levelOf(other) > level) {
        assert.fail(`${token} was handed out before ${other}, which has a higher priority`)
      }
      if (queue.levelOf(other) === level && isBefore(other, token)) {
        assert.fail(`${token} was handed out before ${other}, which came earlier`)
      }
    }
  }

  /** Of one key: in order, to one at a time, and never beside one that was given out after it. */
  #checkKeyTurn(queue: ModelQueue, token: Token, holder: object): void {
    for (const other of queue.tokens) {
      if (other === token || token.orderKey === '' || other.orderKey !== token.orderKey) continue
      if (other.dying !== null || (!other.isOut && other.stay.expiresMin <= this.now())) continue
      if (!isBefore(other, token)) {
        check(!other.isOut, () => `${token} came again beside ${other}, which came later`)
      } else if (!other.isOut || other.holder !== holder) {
        assert.fail(`${token} was handed out before ${other} of its key was settled`)
      }
    }
  }

  #checkFlags(queue: ModelQueue, token: Token, seen: Sighting): void {
    if (queue.kind.countsAttempts) {
      check(seen.attempts === token.attemptCount, () => `${token} has ${seen.attempts} attempts`)
    }
    if (token.delivered === 'never')
      check(!seen.redelivered, () => `${token} is called redelivered`)
    if (token.delivered === 'surely') check(seen.redelivered, () => `${token} is called new`)
    token.delivered = 'surely'
  }

  #checkOrder(queue: ModelQueue, sightings: readonly Sighting[]): void {
    const tokens = sightings.map((seen) => this.tokens.get(tokenKey(seen.id, seen.origin))!)
    for (const [index, token] of tokens.entries()) {
      const after = tokens[index + 1]
      if (after === undefined) break
      const [level, next] = [queue.levelOf(token), queue.levelOf(after)]
      check(level >= next, () => `in ${queue.label} ${token} stands before ${after}`)
      if (level === next && isBefore(after, token)) {
        assert.fail(`in ${queue.label} ${token} stands before ${after}, which came earlier`)
      }
    }
  }

  /** What is due at rest must be done. */
  #checkHeads(queue: ModelQueue, sightings: readonly Sighting[]): void {
    const { messagesMax } = queue.kind.settings
    if (messagesMax !== undefined && queue.isDropping) {
      check(sightings.length <= messagesMax, () => `${queue.label} holds ${sightings.length}`)
    }
    const { bytesMax } = queue.kind.settings
    const levels = new Set<number>()
    let bytes = 0
    for (const seen of sightings) {
      const token = this.tokens.get(tokenKey(seen.id, seen.origin))!
      bytes += token.size
      const level = queue.levelOf(token)
      if (levels.has(level)) continue
      levels.add(level)
      check(token.stay.expiresMax > this.now(), () => `${token} should have expired`)
    }
    if (bytesMax !== undefined)
      check(bytes <= bytesMax, () => `${queue.label} holds ${bytes} bytes`)
  }

  /** It is nowhere to be seen: only right where it may have died for good. */
  #mustBeGone(token: Token): void {
    const before = String(token)
    for (let steps = 0; token.place !== 'gone'; steps++) {
      const isMoved = steps < 6 && this.step(token, undefined)
      check(isMoved, () => `${before} is lost; it may have come to ${token}`)
    }
  }
}

const NEVER = { expiresMin: Infinity, expiresMax: Infinity, sinceMs: 0 }

/** When it expires in a place that it entered between two moments. */
function expiry(
  place: Place,
  enteredMin: number,
  enteredMax: number,
  ownMs: number,
): Pick<Stay, 'expiresMin' | 'expiresMax' | 'sinceMs'> {
  if (!(place instanceof ModelQueue)) return { ...NEVER, sinceMs: enteredMin }
  const ttlMs = place.kind.settings.messageTtlMs ?? Infinity
  return {
    expiresMin: Math.min(ownMs, enteredMin + ttlMs),
    expiresMax: Math.min(ownMs, enteredMax + ttlMs),
    sinceMs: enteredMin,
  }
}

function dropsNow(queue: ModelQueue): boolean {
  return queue.dropCount > 0 || queue.mayDrop
}

/** Whether one surely came before the other: by offset, or by the order of the program. */
function isBefore(left: Token, right: Token): boolean {
  if (left.offset >= 0 && right.offset >= 0) return left.offset < right.offset
  return left.isDirect && right.isDirect && left.sequence < right.sequence
}

/** What is to be said of a failure is made up only where there is one: this is asked all the time. */
function check(isRight: boolean, complaint: () => string): asserts isRight {
  if (!isRight) assert.fail(complaint())
}
