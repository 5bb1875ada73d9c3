import { systemClock } from '../lib/clock.ts'
import type { BrokerStatus } from '../model/shapes/status.ts'
import { AdminClient, apiPath, type ConnectFlags } from './admin-client.ts'
import { printJson } from './listings.ts'
import { cellText } from './table.ts'

export interface StatusFlags extends ConnectFlags {
  readonly json?: boolean
}

/** `waystation status`: what runs, where, and whether it is well. */
export async function status(flags: StatusFlags): Promise<void> {
  const client = await AdminClient.connect(flags)
  const view = (await client.request('GET', apiPath(['status']))) as BrokerStatus
  if (flags.json === true) printJson(view)
  else process.stdout.write(formatStatus(view, systemClock.now()))
}

export function formatStatus(view: BrokerStatus, nowMs: number): string {
  const { store } = view
  const rows: [title: string, value: string][] = [
    ['version', view.version],
    ['process', `${view.pid}, up ${duration(nowMs - view.startedAtMs)}`],
    ['data', cellText(view.data)],
    ['store', `${store.engine}, ${store.state}, a confirm means ${store.durability}`],
    ['publishers', view.alarm === null ? 'may publish' : `must wait: ${cellText(view.alarm)}`],
    ...view.listeners.map(({ name, address, connections }): [string, string] => {
      return [name, `${address}, ${count(connections, 'connection')}`]
    }),
    ['queues', `${view.destinations} in ${count(view.vhosts, 'virtual host')}`],
    ['messages', `${view.ready} ready, ${view.unsettled} unsettled`],
    ['consumers', String(view.consumers)],
  ]
  const width = Math.max(...rows.map(([title]) => title.length))
  return rows.map(([title, value]) => `${title.padEnd(width)}  ${value}\n`).join('')
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

/** The two largest units: `3 d 4 h`, `5 min 2 s`. */
function duration(ms: number): string {
  const seconds = Math.max(Math.floor(ms / 1000), 0)
  const units: [number, string][] = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ]
  const parts: string[] = []
  let rest = seconds
  for (const [size, unit] of units) {
    if (rest >= size) parts.push(`${Math.floor(rest / size)} ${unit}`)
    rest %= size
  }
  return parts.length === 0 ? '0 s' : parts.slice(0, 2).join(' ')
}
