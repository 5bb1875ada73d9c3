import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const CLOCK_TICKS_PER_SECOND = 100

/** CPU seconds used so far by a process and all below it; 0 where there is no /proc. */
export function cpuSeconds(pid: number | null): number {
  let ticks = 0
  for (const fields of processTree(pid)) ticks += Number(fields[11]) + Number(fields[12])
  return ticks / CLOCK_TICKS_PER_SECOND
}

/** CPU seconds used so far by everything on the machine; 0 where there is no /proc. */
export function machineCpuSeconds(): number {
  if (!existsSync('/proc/stat')) return 0
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1)
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0] = line
    .split(/\s+/)
    .slice(1)
    .map(Number)
  return (user + nice + system + irq + softIrq) / CLOCK_TICKS_PER_SECOND
}

/** Resident bytes of a process and all below it; 0 where there is no /proc. */
export function residentBytes(pid: number | null): number {
  const pageBytes = 4_096
  let pages = 0
  for (const fields of processTree(pid)) pages += Number(fields[21])
  return pages * pageBytes
}

/** Bytes that a directory takes on disk, holes not counted. */
export function diskBytes(directory: string): number {
  let bytes = 0
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    try {
      if (entry.isDirectory()) bytes += diskBytes(path)
      else if (entry.isFile()) bytes += statSync(path).blocks * 512
    } catch (error) {
      // A running broker removes files while we look.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return bytes
}

/** The fields of /proc/PID/stat behind the command name, of a process and all below it. */
function processTree(pid: number | null): string[][] {
  if (pid === null || !existsSync('/proc')) return []
  const byPid = new Map<number, string[]>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      byPid.set(Number(name), stat.slice(stat.lastIndexOf(')') + 2).split(' '))
    } catch {
      // It ended between the two calls, so it counts no more.
    }
  }
  const tree: string[][] = []
  const wanted = new Set([pid])
  for (let grown = true; grown;) {
    grown = false
    for (const [candidate, fields] of byPid) {
      if (!wanted.has(candidate) && !wanted.has(Number(fields[1]))) continue
      wanted.add(candidate)
      tree.push(fields)
      byPid.delete(candidate)
      grown = true
    }
  }
  return tree
}
