/** Told when publishers must wait, or may go on. */
export interface PressureListener {
  pressureChanged(): void
}

/** So many bytes may wait for the disk before publishers are made to wait too. */
const UNCOMMITTED_BYTES_MAX = 64 * 1024 * 1024

/**
 * Whether publishers must wait: because disk space runs out (they are told), or because more was
 * published than the disk has taken yet (their sockets are simply not read).
 */
export class Pressure {
  readonly #listeners: Set<PressureListener> = new Set()
  #alarm: string | null = null
  #overloaded = false

  /** A sentence for publishers, or null while all is well. */
  get alarm(): string | null {
    return this.#alarm
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

  setAlarm(reason: string | null): void {
    if (this.#alarm === reason) return
    this.#alarm = reason
    this.#tell()
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

  #tell(): void {
    for (const listener of Array.from(this.#listeners)) listener.pressureChanged()
  }
}
