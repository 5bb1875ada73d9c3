import { PREFACE } from '../codec/http2/index.ts'
import { MESSAGE_BYTES_MAX_DEFAULT, PREAMBLE } from '../codec/rpc/index.ts'
import { systemClock } from '../lib/clock.ts'
import { systemRandom } from '../lib/random.ts'
import { Turn } from '../lib/turn.ts'
import {
  beginsAsHttp1,
  beginsWith,
  type Listener,
  listen,
  type NetLog,
  oneOf,
  type ProtocolHandler,
  SlabPool,
  type Transport,
} from '../net/index.ts'
import { GrpcServer } from '../rpc/grpc/index.ts'
import type { Channel } from './channel.ts'
import { DirectConnection, type DirectShared } from './direct-connection.ts'
import { DirectLogins } from './direct-logins.ts'
import { LocalChannel, type LocalChannelOptions } from './local-channel.ts'
import { CLOSE_GRACE_MS, DIRECT_CALLS_MAX } from './limits.ts'

export interface ListenOptions extends LocalChannelOptions {
  /** Default 127.0.0.1; another one needs a password. */
  readonly host?: string
  /** Default 0: a free one. */
  readonly port?: number
  /** What callers must name. Default `guest` and `guest`, on this machine only. */
  readonly user?: string
  readonly password?: string
  /** Paths of PEM files. Default: no TLS. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string }
  /** The largest message that is taken. Default 4 MiB. */
  readonly messageBytesMax?: number
}

/** A channel that callers connect to themselves. */
export interface ListeningChannel extends Channel {
  /** What they connect to, without user and password. */
  readonly url: string
  readonly port: number
}

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost'])

/**
 * Lets callers connect to providers of this process themselves, without a broker: `serve` on what
 * this resolves with, and `connectChannel(channel.url)` elsewhere. Calls are given out as a broker does.
 * The port takes gRPC, gRPC-Web and Connect, too, with health and reflection.
 */
export async function listenChannel(options: ListenOptions = {}): Promise<ListeningChannel> {
  const { host = '127.0.0.1', port = 0, user = 'guest', password = 'guest', tls } = options
  if (options.password === undefined && !LOOPBACK.has(host)) {
    throw new TypeError(`listening on ${host} needs a password: others can reach it`)
  }
  const { clock = systemClock, random = systemRandom } = options
  const local = new LocalChannel(clock, random, { unroutedCode: 'UNIMPLEMENTED' })
  const shared: DirectShared = {
    ...{
      clock: local.clock,
      turn: new Turn(),
      slabs: new SlabPool(),
      callee: local,
      user,
      password,
    },
    messageBytesMax: options.messageBytesMax ?? MESSAGE_BYTES_MAX_DEFAULT,
  }
  const listener = await listen({
    ...{ name: 'rpc', host, port, log: SILENT },
    protocol: protocolsOf(shared, local),
    ...(tls === undefined ? {} : { tls, alpn: ['h2', 'http/1.1'] }),
  })
  const where = host.includes(':') ? `[${host}]` : host
  return {
    url: `${tls === undefined ? 'rpc' : 'rpcs'}://${where}:${listener.port}`,
    port: listener.port,
    clock: local.clock,
    random: local.random,
    deadlines: local.deadlines,
    open: (head, reply) => local.open(head, reply),
    attach: (spec, callee, capacity) => local.attach(spec, callee, capacity),
    close: async () => close(listener, local),
    [Symbol.asyncDispose]: async () => close(listener, local),
  }
}

/** Our frames, HTTP/2 and HTTP/1.1 on one port. */
function protocolsOf(shared: DirectShared, local: LocalChannel): ProtocolHandler {
  const { turn, clock, user, password, messageBytesMax } = shared
  const isOpen = user === 'guest' && password === 'guest'
  const grpc = new GrpcServer({
    ...{ turn, clock, limits: { messageBytesMax, callsMax: DIRECT_CALLS_MAX } },
    loginsOf: () => new DirectLogins({ user, password, isOpen }, local),
  })
  const frames = {
    name: 'rpc',
    accept: (transport: Transport) => new DirectConnection(transport, shared),
  }
  const choices = [
    { protocol: frames, matches: (bytes: Buffer) => beginsWith(bytes, PREAMBLE) },
    { protocol: grpc, matches: (bytes: Buffer) => beginsWith(bytes, PREFACE) },
    { protocol: grpc.http1, matches: beginsAsHttp1 },
  ]
  return oneOf('rpc', choices, clock)
}

async function close(listener: Listener, local: Channel): Promise<void> {
  await listener.close(CLOSE_GRACE_MS)
  await local.close()
}

const SILENT: NetLog = { info: () => {}, warn: () => {}, error: () => {} }
