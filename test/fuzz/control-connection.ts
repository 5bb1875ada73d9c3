import { RawClient } from '../support/raw-client.ts'
import type { Target } from '../support/target.ts'

const PROGRESS_WITHIN_MS = 10_000
const BATCH = 20

/**
 * The honest client beside the hostile ones: publishes with confirms, consumes and acknowledges
 * on its own durable queue, all the while. Progress is what is asked of it, not a rate.
 */
export class ControlConnection implements AsyncDisposable {
  readonly #client: RawClient
  readonly #queue: string
  readonly #loop: Promise<void>
  #messages = 0
  #isOver = false
  #error: unknown = null
  #slowestMs = 0

  private constructor(client: RawClient, queue: string) {
    this.#client = client
    this.#queue = queue
    this.#loop = this.#run().catch((error: unknown) => {
      this.#error = error
    })
  }

  static async open(target: Target, label: string): Promise<ControlConnection> {
    const client = await RawClient.open(target)
    const queue = `control.${label}.${process.pid}`
    await client.openChannel(1)
    client.sendMethod(1, { name: 'queue.declare', queue, durable: true })
    await client.method('queue.declare-ok')
    client.sendMethod(1, { name: 'confirm.select' })
    await client.method('confirm.select-ok')
    await client.openChannel(2)
    client.sendMethod(2, { name: 'basic.consume', queue, consumerTag: 'control' })
    await client.method('basic.consume-ok')
    return new ControlConnection(client, queue)
  }

  /** Messages published, confirmed, delivered and acknowledged so far. */
  get messages(): number {
    return this.#messages
  }

  /** Longest time a batch took, for reports. */
  get slowestMs(): number {
    return this.#slowestMs
  }

  /** Resolves after one more whole batch; fails when the connection is held up or was ended. */
  async progress(): Promise<void> {
    const before = this.#messages
    const deadlineMs = performance.now() + PROGRESS_WITHIN_MS
    while (this.#messages < before + BATCH) {
      if (this.#error !== null) {
        throw new Error('the control connection failed', { cause: this.#error })
      }
      if (performance.now() > deadlineMs) {
        throw new Error(`no progress on the control connection in ${PROGRESS_WITHIN_MS} ms`)
      }
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await this.#loop
    if (this.#error === null) {
      this.#client.sendMethod(2, { name: 'basic.cancel', consumerTag: 'control' })
      await this.#client.method('basic.cancel-ok')
      this.#client.sendMethod(1, { name: 'queue.delete', queue: this.#queue })
      await this.#client.method('queue.delete-ok')
    }
    this.#client.destroy()
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const startMs = performance.now()
      await this.#batch()
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - startMs)
      // A pause, so that the hostile clients get most of the machine.
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }

  async #batch(): Promise<void> {
    const client = this.#client
    const first = this.#messages
    for (let index = 0; index < BATCH; index++) {
      client.sendPublish(1, { key: this.#queue }, `message ${first + index}`, { deliveryMode: 2 })
    }
    let confirmedTag = 0
    let delivered = 0
    let deliveryTag = 0
    while (confirmedTag < first + BATCH || delivered < BATCH) {
      const incoming = await client.next()
      if (incoming === null) throw new Error('the broker ended the control connection')
      if (incoming.kind === 'body') {
        const text = incoming.body.toString()
        const wanted = `message ${first + delivered}`
        if (text !== wanted) throw new Error(`got '${text}', expected '${wanted}'`)
        delivered++
      }
      if (incoming.kind !== 'method') continue
      const { method } = incoming
      if (method.name === 'basic.ack') confirmedTag = Math.max(confirmedTag, method.deliveryTag)
      else if (method.name === 'basic.deliver') deliveryTag = method.deliveryTag
      else throw new Error(`the control connection got ${method.name}`)
    }
    client.sendMethod(2, { name: 'basic.ack', deliveryTag, multiple: true })
    this.#messages += BATCH
  }
}
