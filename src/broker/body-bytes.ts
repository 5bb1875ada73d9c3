/**
 * How many bytes of bodies a queue holds, waiting and given out.
 *
 * To know what comes back or is settled, the size of each message that is out must be kept. Only
 * a limit in bytes needs that: without one the average of what is out is near enough.
 */
export class BodyBytes {
  /** Bytes that wait. */
  ready = 0
  #out = 0
  #sizes: Map<number, number> | null = null

  /** Bytes that wait and bytes that are out. */
  get live(): number {
    return this.ready + this.#out
  }

  /** From here on the size of whatever goes out is kept. */
  keepSizes(): void {
    this.#sizes ??= new Map()
  }

  wentOut(offset: number, bytes: number): void {
    this.#out += bytes
    this.#sizes?.set(offset, bytes)
  }

  /** One that was out is so no more, and `outCount` others still are; returns its bytes. */
  leftOut(offset: number, outCount: number): number {
    const average = this.#out / (outCount + 1)
    const bytes = this.#sizes === null ? average : (this.#sizes.get(offset) ?? average)
    this.#sizes?.delete(offset)
    this.#out = outCount === 0 ? 0 : Math.max(0, this.#out - bytes)
    return bytes
  }

  /** One of `readyCount` waits no more; returns its bytes, which are an average. */
  leftReady(readyCount: number): number {
    const bytes = this.ready / Math.max(1, readyCount)
    this.shrink(bytes, readyCount - 1)
    return bytes
  }

  /** So many bytes wait no more, and `readyCount` messages still do. */
  shrink(bytes: number, readyCount: number): void {
    this.ready = readyCount === 0 ? 0 : Math.max(0, this.ready - bytes)
  }

  /** All of it waits. */
  reset(bytes: number): void {
    this.ready = bytes
    this.#out = 0
    this.#sizes?.clear()
  }
}
