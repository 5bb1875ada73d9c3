import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { sleep } from '../../src/load/clock.ts'
import { RabbitServer } from '../load/rabbitmq.ts'
import { freePort } from '../load/server.ts'
import { LARGE_BYTES } from './echo.ts'
import { peerCommand, type PeerName, type Processes } from './processes.ts'

/** What is measured of a kind: calls with so many in flight, or messages of a stream. */
export interface Load {
  readonly name: string
  /** What its peer is told to do. */
  readonly role: 'call' | 'stream' | 'large' | 'durable' | 'confirmed'
  readonly inFlight: number
  /** Of a stream; null: these are calls. */
  readonly messageBytes: number | null
}

const CALLS: readonly Load[] = [1, 64].map((inFlight) => ({
  name: `${inFlight} in flight`,
  role: 'call',
  inFlight,
  messageBytes: null,
}))
const STREAMS: readonly Load[] = [
  { name: 'stream of 100 B', role: 'stream', inFlight: 1, messageBytes: 100 },
  { name: 'stream of 64 KiB', role: 'large', inFlight: 1, messageBytes: LARGE_BYTES },
]

/** Servers and callers that are measured together. */
export interface Kind {
  readonly name: string
  readonly about: string
  readonly loads: readonly Load[]
  /** False: what it needs is not installed. */
  isThere(parts: Parts): boolean
  /** Starts all but the caller; resolves with where that connects to. */
  open(processes: Processes, parts: Parts): Promise<string>
  /** The command of the caller, which prints what it measured. */
  caller(parts: Parts, url: string, load: Load & { readonly seconds: number }): readonly string[]
}

/** What outlasts one measurement: programs of others. */
export class Parts implements AsyncDisposable {
  /** The C++ peer; null: it cannot be built here. */
  readonly cpp: string | null
  readonly hasNats: boolean
  /** Takes seconds to start, so one serves all rounds. */
  rabbit: RabbitServer | null = null
  readonly #folder: string = mkdtempSync(path.join(tmpdir(), 'waystation-bench-'))

  constructor() {
    this.cpp = buildCpp(path.join(this.#folder, 'echo'))
    this.hasNats = runs('nats-server', '--version')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rabbit?.[Symbol.asyncDispose]()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

export const KINDS: readonly Kind[] = [
  sockets('sockets', 'what Node can do with bare sockets', { isRelayed: false }),
  sockets('sockets relayed', 'the same with a process in between', { isRelayed: true }),
  own('direct', 'our frames, provider and caller', { isBrokered: false, scheme: 'rpc' }),
  own('brokered', 'our frames through the broker', { isBrokered: true, scheme: 'rpc' }),
  own('grpc', 'gRPC, our server and our client', { isBrokered: false, scheme: 'grpc' }),
  {
    name: 'grpc-js',
    about: 'gRPC, their server and their client',
    loads: [...CALLS, ...STREAMS],
    isThere: () => true,
    open: async (processes) => processes.peer('grpc-js', 'provide'),
    caller: peerCaller('grpc-js'),
  },
  {
    name: 'grpc-js to ours',
    about: 'their client, our server',
    loads: CALLS,
    isThere: () => true,
    open: async (processes) => hostOf(await processes.peer('own', 'provide', 'direct')),
    caller: peerCaller('grpc-js'),
  },
  {
    name: 'c++',
    about: 'gRPC of C++, server and client',
    loads: CALLS,
    isThere: ({ cpp }) => cpp !== null,
    open: async (processes, { cpp }) => processes.line([cpp!, 'provide']),
    caller: cppCaller,
  },
  {
    name: 'c++ to ours',
    about: 'the same client, our server',
    loads: CALLS,
    isThere: ({ cpp }) => cpp !== null,
    open: async (processes) => hostOf(await processes.peer('own', 'provide', 'direct')),
    caller: cppCaller,
  },
  {
    name: 'nats',
    about: 'request and reply through nats-server, their client for Node',
    loads: CALLS,
    isThere: ({ hasNats }) => hasNats,
    open: openNats,
    caller: peerCaller('nats'),
  },
  {
    name: 'rabbitmq',
    about: 'direct reply-to through RabbitMQ, amqplib',
    loads: CALLS,
    isThere: () => RabbitServer.isInstalled(),
    open: async (processes, parts) => {
      parts.rabbit ??= await RabbitServer.open()
      const port = String(parts.rabbit.endpoint.port)
      return processes.peer('amqp', 'provide', port)
    },
    caller: peerCaller('amqp'),
  },
  {
    name: 'durable',
    about: 'calls that are stored, beside messages that are confirmed, 64 in flight',
    loads: [
      { name: 'durable calls', role: 'durable', inFlight: 64, messageBytes: null },
      { name: 'confirmed publishes', role: 'confirmed', inFlight: 64, messageBytes: null },
    ],
    isThere: () => true,
    open: async (processes) => {
      const urls = await processes.peer('own', 'broker', processes.folder())
      await processes.peer('own', 'provide', urls.split(' ')[0]!)
      return urls
    },
    caller: (parts, urls, load) => {
      const [rpc = '', amqp = ''] = urls.split(' ')
      if (load.role === 'durable') return peerCaller('own')(parts, rpc, load)
      return peerCaller('amqp')(parts, new URL(amqp).port, load)
    },
  },
]

function sockets(
  name: string,
  about: string,
  { isRelayed }: { readonly isRelayed: boolean },
): Kind {
  return {
    ...{ name, about, loads: CALLS },
    isThere: () => true,
    open: async (processes) => {
      const port = await processes.peer('socket', 'provide')
      return isRelayed ? processes.peer('socket', 'relay', port) : port
    },
    caller: peerCaller('socket'),
  }
}

function own(
  name: string,
  about: string,
  { isBrokered, scheme }: { readonly isBrokered: boolean; readonly scheme: 'rpc' | 'grpc' },
): Kind {
  return {
    ...{ name, about, loads: [...CALLS, ...STREAMS] },
    isThere: () => true,
    open: async (processes) => {
      const urls = isBrokered ? await processes.peer('own', 'broker', processes.folder()) : 'direct'
      const url = await processes.peer('own', 'provide', urls.split(' ')[0]!)
      return url.replace(/^rpc:/, `${scheme}:`)
    },
    caller: peerCaller('own'),
  }
}

function peerCaller(peer: PeerName): Kind['caller'] {
  return (_parts, url, { role, inFlight, seconds }) =>
    peerCommand(peer, [role, url, String(inFlight), String(seconds)])
}

function cppCaller(
  { cpp }: Parts,
  url: string,
  { inFlight, seconds }: Load & { readonly seconds: number },
): readonly string[] {
  return [cpp!, 'call', url, String(inFlight), String(seconds)]
}

async function openNats(processes: Processes): Promise<string> {
  const port = await freePort()
  processes.start('nats-server', ['-a', '127.0.0.1', '-p', String(port), '-l', '/dev/null'])
  while (!(await listens(port))) await sleep(20)
  return processes.peer('nats', 'provide', `127.0.0.1:${port}`)
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

function hostOf(url: string): string {
  return new URL(url).host
}

function buildCpp(file: string): string | null {
  return runs(path.join(import.meta.dirname, 'cpp/build.sh'), file) ? file : null
}

function runs(command: string, ...args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
