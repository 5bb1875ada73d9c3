import { readFileSync } from 'node:fs'

/** Whether a process with this id runs, ours or another user's. */
export function isProcessAlive(pid: number): boolean {
  if (pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it lives, under another user.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  return !isZombie(pid)
}

/**
 * Whether it has ended and nobody has asked how: it holds nothing any more, but its id answers to
 * signals. In a container without an init process it does so until the container ends.
 */
function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name before the last bracket may hold blanks; field 3 of proc(5) is the state.
    return /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
  } catch {
    // No /proc on this system, or the process ended just now: the id alone must do.
    return false
  }
}
