let queue: (() => void)[] = []
let spare: (() => void)[] = []

/**
 * Calls back in a later turn of the event loop, in the order of the calls: for answers that must
 * never come inside the call that asks. All that gather in one turn share one wake-up.
 */
export function later(callback: () => void): void {
  queue.push(callback)
  if (queue.length === 1) setImmediate(runAll)
}

function runAll(): void {
  const tasks = queue
  queue = spare
  let done = 0
  try {
    while (done < tasks.length) tasks[done++]!()
  } finally {
    // After a throw the rest still runs, before whatever was queued meanwhile.
    const rest = tasks.splice(0).slice(done)
    spare = tasks
    if (rest.length > 0) queue = rest.concat(queue)
    if (rest.length > 0) setImmediate(runAll)
  }
}
