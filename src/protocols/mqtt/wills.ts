import { nameOfPrincipal, type UserStore } from '../../auth/index.ts'
import type { BrokerLog, Session, VirtualHost } from '../../broker/index.ts'
import { encodeProperties, PACKET, type Will } from '../../codec/mqtt/index.ts'
import type { Clock, Timer } from '../../lib/clock.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import { NATIVE_FORM } from '../../model/native-form.ts'
import { expiryProperty, headerSize, writeHeader } from './message-header.ts'
import { Publisher, TopicSlot } from './publisher.ts'

/** A will whose client has gone without a word. */
export interface DueWill {
  readonly will: Will
  readonly vhost: VirtualHost
  readonly principal: string
  readonly clientId: string
}

/** Wills that wait for their delay or for the end of their session, whichever comes first. */
export class Wills {
  readonly #users: UserStore
  readonly #clock: Clock
  readonly #log: BrokerLog
  readonly #waiting: Map<Session, DueWill & { readonly timer: Timer }> = new Map()

  constructor(parts: {
    readonly users: UserStore
    readonly clock: Clock
    readonly log: BrokerLog
  }) {
    this.#users = parts.users
    this.#clock = parts.clock
    this.#log = parts.log
  }

  /** Publishes it now or when its delay is over. */
  add(session: Session, due: DueWill): void {
    const delayMs = (due.will.properties.willDelayInterval ?? 0) * 1000
    if (delayMs === 0) {
      this.#publish(due)
      return
    }
    this.#waiting.set(session, { ...due, timer: this.#arm(session, delayMs) })
  }

  /** The client is back in time. */
  cancel(session: Session): void {
    this.#waiting.get(session)?.timer.cancel()
    this.#waiting.delete(session)
  }

  /** The session is over: nothing is left to wait for. */
  sessionEnded(session: Session): void {
    const due = this.#waiting.get(session)
    if (due === undefined) return
    this.cancel(session)
    this.#publish(due)
  }

  close(): void {
    for (const { timer } of this.#waiting.values()) timer.cancel()
    this.#waiting.clear()
  }

  #arm(session: Session, delayMs: number): Timer {
    return this.#clock.setTimer(delayMs, () => this.sessionEnded(session))
  }

  #publish({ will, vhost, principal, clientId }: DueWill): void {
    const slot = TopicSlot.of(will.topic)
    const publisher = new Publisher(vhost, this.#users, { user: principal, clientId })
    const user = nameOfPrincipal(principal)
    if (slot === null || publisher.ensure(slot) !== 0) {
      this.#log.warn({ user, topic: will.topic }, 'a will was not published: it may not')
      return
    }
    const draft = draftOf(will)
    draft.actor = {
      ...{ protocol: 'MQTT', connectionId: -1, connection: 'a will' },
      ...{ user, clientId },
    }
    publisher.publish(slot, draft, will.retain)
  }
}

function draftOf({ qos, retain, payload, properties }: Will): MessageDraft {
  const { willDelayInterval: _delay, messageExpiryInterval, ...rest } = properties
  const seconds = messageExpiryInterval ?? -1
  const bytes = Buffer.concat([expiryProperty(seconds), encodeProperties(PACKET.PUBLISH, rest)])
  const parts = { qos, retain, publisher: null }
  const header = Buffer.alloc(headerSize(parts, bytes))
  writeHeader(header, parts, bytes)
  const draft = new MessageDraft()
  draft.form = NATIVE_FORM.MQTT
  draft.persistent = qos > 0
  draft.ttlMs = seconds < 0 ? -1 : seconds * 1000
  draft.setHeader(header, 0, header.length)
  draft.setBody(payload, 0, payload.length)
  return draft
}
