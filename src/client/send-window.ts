import { CALL_WINDOW, messageCost } from '../rpc/call.ts'

/** What may still be sent in one direction of a call. */
export class SendWindow {
  #left = CALL_WINDOW
  #isOver = false
  #waiting: PromiseWithResolvers<void> | null = null

  get isOver(): boolean {
    return this.#isOver
  }

  credit(cost: number): void {
    this.#left += cost
    if (this.#left > 0) this.#wake()
  }

  /** The call is over: whoever waits goes on, and sees it. */
  end(): void {
    this.#isOver = true
    this.#wake()
  }

  /** Sends messages as they come and the window has room; returns when all are sent or it is over. */
  async sendAll(
    messages: AsyncIterable<unknown> | Iterable<unknown>,
    send: (message: unknown) => number,
  ): Promise<void> {
    for await (const message of messages) {
      if (this.#isOver) return
      this.#left -= messageCost(send(message))
      while (this.#left <= 0 && !this.#isOver) {
        this.#waiting ??= Promise.withResolvers()
        await this.#waiting.promise
      }
    }
  }

  #wake(): void {
    this.#waiting?.resolve()
    this.#waiting = null
  }
}
