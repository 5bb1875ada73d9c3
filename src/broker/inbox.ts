import type { Actor } from '../model/actor.ts'
import type { Exchange } from './exchange.ts'
import type { StoredMessage } from './stored-message.ts'
import type { VirtualHost } from './virtual-host.ts'

/** Whoever waits for an answer or listens; the view is valid during the call only. */
export interface InboxSink {
  /** `from`: who published it; null: the broker itself. */
  deliverDirect(message: StoredMessage, from: Actor | null): void
}

/**
 * A name that stores nothing: what comes is handed over inside the publish, or dropped by the
 * sink. It is reached by its name on the default exchange and by its bindings, which are gone
 * with it and are never stored.
 */
export class Inbox {
  readonly name: string
  readonly sink: InboxSink
  readonly #vhost: VirtualHost
  readonly #close: (inbox: Inbox) => void
  readonly #bound: { readonly exchange: Exchange; readonly key: string }[] = []
  #isOpen = true

  constructor(vhost: VirtualHost, name: string, sink: InboxSink, close: (inbox: Inbox) => void) {
    this.#vhost = vhost
    this.name = name
    this.sink = sink
    this.#close = close
  }

  /** False from `close` on: nothing is handed over any more. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /**
   * Takes what `exchange` routes by `key`, one copy however many keys match. Again: no change.
   * Throws `LIMIT_EXCEEDED` where the virtual host has all the bindings it may have.
   */
  bind(exchange: Exchange, key: string): void {
    if (!this.#isOpen || exchange.matcher.has(this, key)) return
    const { bounds } = this.#vhost
    const spec = { source: exchange.name, target: this.name, targetKind: 'destination' } as const
    bounds.requireBinding(spec)
    exchange.matcher.add(this, key)
    bounds.bindingCount++
    this.#bound.push({ exchange, key })
    this.#vhost.topologyVersion++
  }

  /** Nothing happens when there is no such binding. */
  unbind(exchange: Exchange, key: string): void {
    const at = this.#bound.findIndex((held) => held.exchange === exchange && held.key === key)
    if (at < 0) return
    this.#bound.splice(at, 1)
    exchange.matcher.remove(this, key)
    this.#vhost.bounds.bindingCount--
    this.#vhost.topologyVersion++
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    for (const { exchange } of this.#bound) exchange.matcher.removeTarget(this)
    this.#vhost.bounds.bindingCount -= this.#bound.length
    this.#bound.length = 0
    this.#close(this)
  }
}
