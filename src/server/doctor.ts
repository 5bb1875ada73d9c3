import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import { createServer } from 'node:net'
import path from 'node:path'
import { systemClock } from '../lib/clock.ts'
import { readAdminEndpoint } from './data-directory.ts'
import { formatListenAddress, isLoopback } from './listen-address.ts'
import { MEMORY, type ListenerConfig, type ServerConfig } from './server-config.ts'

/** One thing that was looked at. */
export interface Finding {
  readonly about: string
  /** `bad`: a broker would not start, or would lose or refuse work. `poor`: it works, worse. */
  readonly state: 'well' | 'poor' | 'bad'
  readonly text: string
  /** What to do; null where nothing has to be done. */
  readonly advice: string | null
}

const NODE_MAJOR_MIN = 20
const SYNCS = 21
const SYNC_BYTES = 4096
/** Above it a publisher that waits for each confirm gets fewer than 50 a second. */
const SYNC_MS_POOR = 20
const MIB = 1024 * 1024
const FREE_BYTES_POOR = 1024 * MIB
const FILES_POOR = 4096
const DAY_MS = 86_400_000
const EXPIRY_DAYS_POOR = 14
/** `f_type` of file systems that other machines serve, of statfs(2). */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0xff_53_4d_42, 'CIFS'],
  [0xfe_53_4d_42, 'SMB2'],
])

/** Looks at all that a broker with this configuration needs of its machine; changes nothing. */
export async function examine(config: ServerConfig): Promise<Finding[]> {
  const isRunning = config.data !== MEMORY && readAdminEndpoint(config.data) !== null
  return [
    nodeVersion(),
    ...(await dataDirectory(config.data)),
    ...(await ports(config, isRunning)),
    ...certificates(config),
    openFiles(),
  ]
}

function nodeVersion(): Finding {
  const { node } = process.versions
  const isEnough = Number(node.split('.')[0]) >= NODE_MAJOR_MIN
  const advice = isEnough ? null : `install Node.js ${NODE_MAJOR_MIN} or later`
  return { about: 'Node.js', state: isEnough ? 'well' : 'bad', text: `version ${node}`, advice }
}

async function dataDirectory(directory: string): Promise<Finding[]> {
  const about = 'data'
  if (directory === MEMORY) {
    const advice = 'name a directory with --data to keep messages'
    return [{ about, state: 'poor', text: 'in memory: nothing survives a restart', advice }]
  }
  const existing = await nearestFolder(directory)
  const probe = path.join(existing, `.waystation-doctor-${process.pid}`)
  try {
    await fs.mkdir(probe, { mode: 0o700 })
  } catch (cause) {
    const text = `${directory} cannot be written: ${(cause as Error).message}`
    return [{ about, state: 'bad', text, advice: 'choose another one with --data' }]
  }
  try {
    const text = existing === directory ? directory : `${directory}, made at the first start`
    const place: Finding = { about, state: 'well', text, advice: null }
    return [place, await freeSpace(existing), await syncTime(probe), await hardLinks(probe)]
  } finally {
    await fs.rm(probe, { recursive: true, force: true })
  }
}

async function nearestFolder(directory: string): Promise<string> {
  for (let folder = directory; ; folder = path.dirname(folder)) {
    const found = await fs.stat(folder).catch(() => null)
    if (found !== null || folder === path.dirname(folder)) return folder
  }
}

async function freeSpace(folder: string): Promise<Finding> {
  const about = 'disk'
  const { bavail, bsize, type } = await fs.statfs(folder)
  const network = NETWORK_FILE_SYSTEMS.get(type)
  if (network !== undefined) {
    const advice = 'keep data on a disk of this machine'
    const text = `${folder} is on ${network}, whose syncs and locks cannot be trusted`
    return { about, state: 'poor', text, advice }
  }
  const free = bavail * bsize
  const text = `${Math.floor(free / MIB)} MiB free`
  if (free >= FREE_BYTES_POOR) return { about, state: 'well', text, advice: null }
  const advice = 'publishers must wait while less than limits.freeDiskSpace is free; make room'
  return { about, state: 'poor', text, advice }
}

/** What a confirm waits for when nothing else happens. */
async function syncTime(folder: string): Promise<Finding> {
  const times: number[] = []
  await using file = await fs.open(path.join(folder, 'sync'), 'wx')
  for (let round = 0; round < SYNCS; round++) {
    const startMs = systemClock.monotonicMs()
    await file.write(Buffer.alloc(SYNC_BYTES, round), 0, SYNC_BYTES, round * SYNC_BYTES)
    await file.datasync()
    times.push(systemClock.monotonicMs() - startMs)
  }
  const sorted = times.toSorted((a, b) => a - b)
  const median = sorted[SYNCS >>> 1]!
  const text = `a sync takes ${median.toFixed(2)} ms, ${sorted.at(-1)!.toFixed(2)} at most of ${SYNCS}`
  const isPoor = median > SYNC_MS_POOR
  const advice = isPoor ? 'every confirm waits for a sync: a faster disk is felt at once' : null
  return { about: 'sync', state: isPoor ? 'poor' : 'well', text, advice }
}

async function hardLinks(folder: string): Promise<Finding> {
  const about = 'hard links'
  try {
    await fs.link(path.join(folder, 'sync'), path.join(folder, 'link'))
    return { about, state: 'well', text: 'backups can be made while the broker runs', advice: null }
  } catch (cause) {
    const text = `the file system has none: ${(cause as Error).message}`
    return { about, state: 'poor', text, advice: 'stop the broker to copy its data directory' }
  }
}

async function ports({ data, listeners }: ServerConfig, isRunning: boolean): Promise<Finding[]> {
  if (isRunning) {
    const text = `a broker runs on ${data} and has its ports`
    return [{ about: 'ports', state: 'well', text, advice: null }]
  }
  return Promise.all(listeners.map(portFinding))
}

async function portFinding(listener: ListenerConfig): Promise<Finding> {
  const { port, address, isExplicit } = listener
  const about = port.name
  const where = formatListenAddress(address)
  const problem = await listenProblem(address)
  if (problem === null) {
    const reach = isLoopback(address.host) ? 'this machine only' : 'other machines too'
    return { about, state: 'well', text: `${where} is free, for ${reach}`, advice: null }
  }
  const advice = `choose another address with --listen ${port.name}=HOST:PORT, or 'off'`
  const text = `${where}: ${problem}`
  // One that nobody asked for by name is left out, or another one is taken for it.
  const isNeeded = isExplicit || !(port.givesWay || port.name === 'http')
  return { about, state: isNeeded ? 'bad' : 'poor', text, advice }
}

async function listenProblem(address: ListenerConfig['address']): Promise<string | null> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === 'EADDRINUSE'
      resolve(isTaken ? 'another program listens there' : error.message)
    })
    server.listen(address, () => server.close(() => resolve(null)))
  })
}

function certificates({ tls }: ServerConfig): Finding[] {
  if (tls === null) return []
  return [tls, ...(tls.others ?? [])].map(({ certFile, keyFile }) => {
    return certificate(certFile, keyFile, tls.passphrase)
  })
}

function certificate(certFile: string, keyFile: string, passphrase?: string): Finding {
  const about = 'certificate'
  const bad = (text: string, advice: string): Finding => ({ about, state: 'bad', text, advice })
  let found: X509Certificate
  try {
    found = new X509Certificate(readFileSync(certFile))
    const key = createPrivateKey({
      key: readFileSync(keyFile),
      ...(passphrase === undefined ? {} : { passphrase }),
    })
    if (!found.checkPrivateKey(key)) {
      return bad(`${keyFile} is not the key of ${certFile}`, 'name the two that belong together')
    }
  } catch (cause) {
    return bad(`${certFile}: ${(cause as Error).message}`, 'name PEM files that can be read')
  }
  const days = Math.floor((found.validToDate.getTime() - systemClock.now()) / DAY_MS)
  const text = `${certFile} is good until ${found.validToDate.toISOString()}`
  if (days < 0) return bad(`${certFile} ran out on ${found.validToDate.toISOString()}`, RENEW)
  return days < EXPIRY_DAYS_POOR
    ? { about, state: 'poor', text: `${text}, ${days} days`, advice: RENEW }
    : { about, state: 'well', text, advice: null }
}

const RENEW = 'renew it; a running broker takes the new file on SIGHUP'

/** Connections and segments are files; Node raises the soft limit to the hard one at its start. */
function openFiles(): Finding {
  const about = 'open files'
  let limits: string
  try {
    limits = readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return { about, state: 'well', text: 'the system does not tell its limit', advice: null }
  }
  const limit = /^Max open files\s+(\S+)/m.exec(limits)?.[1] ?? 'unlimited'
  const text = `up to ${limit}`
  if (limit === 'unlimited' || Number(limit) >= FILES_POOR) {
    return { about, state: 'well', text, advice: null }
  }
  const advice = `raise it (ulimit -n, LimitNOFILE=): each connection is one`
  return { about, state: 'poor', text, advice }
}
