import { systemClock } from '../lib/clock.ts'
import { formatListenAddress } from '../server/listen-address.ts'
import { PORTS } from '../server/protocol-ports.ts'
import type { RunningBroker } from '../server/running-broker.ts'
import { MEMORY } from '../server/server-config.ts'
import { packageVersion } from '../server/version.ts'

/** What a person who has just started a broker wants to know, on one screen. */
export async function startScreen(broker: RunningBroker): Promise<string> {
  const listening = broker.listeners.map(({ name, address }): Row => {
    const port = PORTS.find((candidate) => candidate.name === name)
    const path = port?.webSocket?.path ?? ''
    return [port?.title ?? name, `${name}  ${formatListenAddress(address)}${path}`]
  })
  const isMemory = broker.data === MEMORY
  const user = (await broker.hasBuiltInPassword())
    ? 'guest, password guest, from this machine only'
    : "see 'waystation users list'"
  const about: Row[] = [
    ['data', isMemory ? 'in memory, gone when the broker stops' : broker.data],
    ['user', user],
    ['stop', 'Ctrl+C'],
  ]
  const look = isMemory ? '--url and --user' : `--data ${broker.data}`
  const hint = broker.listeners.some(({ name }) => name === 'http')
    ? [['look inside', `waystation status ${look}`] satisfies Row]
    : []
  const lines = [...listening, ...about, ...hint]
  const width = Math.max(...lines.map(([title]) => title.length))
  const text = lines.map(([title, value]) => `  ${title.padEnd(width)}  ${value}`)
  text.splice(listening.length, 0, '')
  return `\nWaystation ${packageVersion()} is ready\n\n${text.join('\n')}\n\n`
}

/** For programs: one line of JSON like those of the log, written whatever the log's level is. */
export function readyLine(broker: RunningBroker, readyMs: number): string {
  const listeners = Object.fromEntries(
    broker.listeners.map(({ name, address }) => [name, formatListenAddress(address)]),
  )
  const line = {
    level: 'info',
    time: new Date(systemClock.now()).toISOString(),
    msg: 'ready',
    listeners,
    data: broker.data,
    version: packageVersion(),
    pid: process.pid,
    readyMs: Math.round(readyMs),
  }
  return `${JSON.stringify(line)}\n`
}

type Row = [title: string, value: string]
