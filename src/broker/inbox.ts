import type { StoredMessage } from './stored-message.ts'

/** Whoever waits for an answer; the view is valid during the call only. */
export interface InboxSink {
  deliverDirect(message: StoredMessage): void
}

/** A name on the default exchange that stores nothing: what comes is handed over or dropped. */
export class Inbox {
  readonly name: string
  readonly sink: InboxSink
  readonly #close: (inbox: Inbox) => void

  constructor(name: string, sink: InboxSink, close: (inbox: Inbox) => void) {
    this.name = name
    this.sink = sink
    this.#close = close
  }

  close(): void {
    this.#close(this)
  }
}
