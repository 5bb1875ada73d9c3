/** How long this thread's event loop has worked and has waited since it began. */
export interface LoopTimes {
  readonly activeMs: number
  readonly idleMs: number
}

export function loopTimes(): LoopTimes {
  const { active, idle } = performance.eventLoopUtilization()
  return { activeMs: active, idleMs: idle }
}
