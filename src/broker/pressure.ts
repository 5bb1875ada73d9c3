/** Told when publishers must wait, or may go on. */
export interface PressureListener {
  pressureChanged(): void
}

export const LOW_ON_DISK = 'low on disk'
const LOW_ON_MEMORY = 'low on memory'

/** So many bytes may wait for the disk before publishers are made to wait too. */
const UNCOMMITTED_BYTES_MAX = 64 * 1024 * 1024

/**
 * Whether publishers must wait: because disk space or memory runs out (they are told), or because more was
 * published than the disk has taken yet (their sockets are simply not read).
 */
export class Pressure {
  readonly #listeners: Set<PressureListener> = new Set()
  #storeAlarm: string | null = null
  #isMemoryLow = false
  #alarm: string | null = null
  #overloaded = false

  /** A sentence for publishers, in RabbitMQ's words, or null while all is well. */
  get alarm(): string | null {
    return this.#alarm
  }

  /** The same of the store alone. */
  get storeAlarm(): string | null {
    return this.#storeAlarm
  }

  /** Memory runs out: nothing new is declared either. */
  get isMemoryLow(): boolean {
    return this.#isMemoryLow
  }

  get overloaded(): boolean {
    return this.#overloaded
  }

  subscribe(listener: PressureListener): void {
    this.#listeners.add(listener)
  }

  unsubscribe(listener: PressureListener): void {
    this.#listeners.delete(listener)
  }

  /** Of the store. */
  setAlarm(reason: string | null): void {
    this.#storeAlarm = reason
    this.#update()
  }

  setMemoryLow(isLow: boolean): void {
    this.#isMemoryLow = isLow
    this.#update()
  }

  /** Looks at what waits for the disk; relief comes at half of what starts the pressure. */
  measure(uncommittedBytes: number): void {
    const overloaded = this.#overloaded
      ? uncommittedBytes > UNCOMMITTED_BYTES_MAX / 2
      : uncommittedBytes > UNCOMMITTED_BYTES_MAX
    if (overloaded === this.#overloaded) return
    this.#overloaded = overloaded
    this.#tell()
  }

  #update(): void {
    const both = this.#storeAlarm === LOW_ON_DISK ? `${LOW_ON_MEMORY} & disk` : this.#storeAlarm
    const low = this.#storeAlarm === null ? LOW_ON_MEMORY : both
    const alarm = this.#isMemoryLow ? low : this.#storeAlarm
    if (this.#alarm === alarm) return
    this.#alarm = alarm
    this.#tell()
  }

  #tell(): void {
    for (const listener of Array.from(this.#listeners)) listener.pressureChanged()
  }
}
