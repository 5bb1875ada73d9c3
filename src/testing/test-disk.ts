import type { FaultyDisk } from '../storage/disk-faulty.ts'

/** What may go wrong with the disk of a test broker; it lies in memory. */
export class TestDisk {
  readonly #disk: () => FaultyDisk

  /** `disk` gives the present one: a crash replaces it. */
  constructor(disk: () => FaultyDisk) {
    this.#disk = disk
  }

  /** How many times the broker asked for its writes to be made durable. */
  get syncCount(): number {
    return this.#disk().syncCount
  }

  /** Lets no more than `bytes` be written before the disk is full. Default 0: it is full now. */
  fill(bytes = 0): void {
    this.#disk().freeSpaceBytes = bytes
  }

  /** Makes room again. The broker sees it within a second of its clock. */
  free(): void {
    this.#disk().freeSpaceBytes = Infinity
  }

  /** Makes every sync take so many turns of the event loop longer; 0: as quick as ever. */
  slowSyncs(turns: number): void {
    this.#disk().syncTurns = turns
  }
}
