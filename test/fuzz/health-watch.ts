import { setTimeout as sleep } from 'node:timers/promises'

/** What an orchestrator would wait for; the machine that runs the tests may have other work. */
const HEALTH_WITHIN_MS = 30_000

/** Asks for health again and again, each time on a connection of its own, as an orchestrator does. */
export class HealthWatch implements AsyncDisposable {
  readonly #url: string
  readonly #loop: Promise<void>
  #isOver = false
  #error: Error | null = null
  #count = 0
  #slowestMs = 0

  constructor(port: number) {
    this.#url = `http://127.0.0.1:${port}/health/live`
    this.#loop = this.#run().catch((error: unknown) => {
      this.#error = error instanceof Error ? error : new Error(String(error))
    })
  }

  /** Fails when it was not told, or not in time; else says how long it took. */
  async verdict(): Promise<string> {
    await this[Symbol.asyncDispose]()
    if (this.#error !== null) throw this.#error
    if (this.#count === 0) throw new Error('nobody asked for health')
    const text = `health was told ${this.#count} times, in ${this.#slowestMs.toFixed(0)} ms at most`
    if (this.#slowestMs > HEALTH_WITHIN_MS) throw new Error(text)
    return text
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await this.#loop
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const startedMs = performance.now()
      const answer = await fetch(this.#url, { headers: { connection: 'close' } })
      if (answer.status !== 200) throw new Error(`health: ${answer.status}`)
      await answer.text()
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - startedMs)
      this.#count += 1
      await sleep(50)
    }
  }
}
