import { totalmem } from 'node:os'
import { constants, PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** What is measured, in bytes. */
export interface MemoryUse {
  /** Objects that have lived a while, what nobody refers to any more among them. */
  readonly heap: number
  /** That, what is young, and what lies outside the heap: bodies, indexes, output. */
  readonly all: number
}

/** Where memory is measured and collected: the process itself, or a test's own. */
export interface MemorySource {
  /** Above it V8 ends the process. */
  readonly heapMax: number
  /** Of the machine or the container. */
  readonly allMax: number
  use(): MemoryUse
  /** Throws away what nobody refers to, at once. */
  collect(): void
  /** Calls back whenever all that nobody refers to was thrown away. Returns how to end that. */
  onCollected(collected: () => void): () => void
}

export interface MemoryWatchOptions {
  readonly source: MemorySource
  /** Up to 1: a part of what there is; above: bytes; 0: nothing is watched. */
  readonly watermark: number
  readonly changed: (isLow: boolean, use: MemoryUse) => void
}

/** As RabbitMQ 4: the rest is for what is under way, and for the collector to work in. */
export const WATERMARK_DEFAULT = 0.6

/** Measuring takes some 20 microseconds. */
const EVERY_MS = 100
/** It is over when so much of the watermark is in use: else it would come and go. */
const CLEAR_PART = 0.95
/** While memory is low and V8 sees no cause to collect; and it takes no more than one part of 20. */
const COLLECT_EVERY_MS = 2000
const COLLECT_SHARE = 20
/** V8 adds to the limit of what is old what may be young: three halves of 64 MiB. */
const YOUNG_BYTES_MAX = 192 * 1024 * 1024

/**
 * Says when memory runs out. What is in use and what is only not collected yet look alike, so a
 * measure above the watermark counts once V8 has collected: as soon as half of what was left after
 * its last collection is used up it does so by itself, long before there is nothing left.
 */
export class MemoryWatch implements Disposable {
  readonly #options: MemoryWatchOptions
  readonly #timer: NodeJS.Timeout
  #isLow = false
  #unwatch: (() => void) | null = null
  #collectAtMs = 0

  constructor(options: MemoryWatchOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.look(performance.now()), EVERY_MS).unref()
  }

  /** Bytes of all memory above which publishers must wait. */
  get limitBytes(): number {
    return markOf(this.#options.watermark, this.#options.source.allMax)
  }

  get isLow(): boolean {
    return this.#isLow
  }

  look(nowMs: number): void {
    const { source } = this.#options
    const use = source.use()
    if (this.#isLow) {
      if (!this.#isAbove(use, CLEAR_PART)) this.#set(false, use)
      else this.#collect(nowMs)
      return
    }
    if (!this.#isAbove(use, 1)) this.#unwatchCollector()
    else this.#unwatch ??= source.onCollected(() => this.#collected())
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#unwatchCollector()
  }

  #collected(): void {
    const use = this.#options.source.use()
    if (!this.#isLow && this.#isAbove(use, 1)) this.#set(true, use)
  }

  #set(isLow: boolean, use: MemoryUse): void {
    this.#isLow = isLow
    this.#unwatchCollector()
    this.#collectAtMs = performance.now() + COLLECT_EVERY_MS
    this.#options.changed(isLow, use)
  }

  /** Nothing that was freed would be seen: whoever must wait makes no garbage. */
  #collect(nowMs: number): void {
    if (nowMs < this.#collectAtMs) return
    const startMs = performance.now()
    this.#options.source.collect()
    const tookMs = performance.now() - startMs
    this.#collectAtMs = nowMs + Math.max(COLLECT_EVERY_MS, tookMs * COLLECT_SHARE)
  }

  #isAbove({ heap, all }: MemoryUse, part: number): boolean {
    const { watermark, source } = this.#options
    if (watermark === 0) return false
    // A size in bytes says nothing of the heap, whose own limit stays.
    const heapPart = watermark > 1 ? WATERMARK_DEFAULT : watermark
    return heap > source.heapMax * heapPart * part || all > this.limitBytes * part
  }

  #unwatchCollector(): void {
    this.#unwatch?.()
    this.#unwatch = null
  }
}

function markOf(watermark: number, max: number): number {
  if (watermark === 0) return max
  // Whole bytes: clients of other languages read it as an integer.
  return watermark > 1 ? watermark : Math.floor(max * watermark)
}

/** Of the container, where there is one with a limit, else of the machine. */
function memoryBytes(): number {
  const constrained = process.constrainedMemory()
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
}

export const PROCESS_MEMORY: MemorySource = {
  get heapMax() {
    const { heap_size_limit: limit } = getHeapStatistics()
    return Math.max(limit - YOUNG_BYTES_MAX, limit / 4)
  },
  get allMax() {
    return memoryBytes()
  },
  use() {
    let heap = 0
    let young = 0
    for (const { space_name: name, space_used_size: size } of getHeapSpaceStatistics()) {
      if (name.startsWith('new_')) young += size
      else heap += size
    }
    return { heap, all: heap + young + getHeapStatistics().external_memory }
  },
  collect() {
    // V8 has no other way to be asked, and a process that is started without the flag has this one.
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    setFlagsFromString('--no-expose-gc')
    collect()
  },
  onCollected(collected) {
    const observer = new PerformanceObserver((list) => {
      const isMajor = list.getEntries().some((entry) => {
        // Node's types leave out what it adds to entries of this kind.
        const { detail } = entry as unknown as { readonly detail?: { readonly kind?: number } }
        return detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR
      })
      if (isMajor) collected()
    })
    observer.observe({ entryTypes: ['gc'] })
    return () => observer.disconnect()
  },
}
