/** Where a channel connects to, and as whom. */
export interface Target {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  /** Null: on the socket itself. */
  readonly webSocket: string | null
  readonly user: string
  readonly password: string
  readonly vhost: string
}

export interface TargetOverrides {
  readonly user?: string
  readonly password?: string
  readonly vhost?: string
  /** A token is in the place of a user. */
  readonly token?: unknown
}

const SCHEMES: Readonly<Record<string, { readonly port: number; readonly tls: boolean }>> = {
  'rpc:': { port: 7700, tls: false },
  'rpcs:': { port: 7701, tls: true },
  'ws:': { port: 7702, tls: false },
  'wss:': { port: 7703, tls: true },
}

/** Throws `TypeError` for what is no address of a server. */
export function readTarget(url: string, overrides: TargetOverrides = {}): Target {
  const parsed = URL.canParse(url) ? new URL(url) : null
  const scheme = parsed === null ? undefined : SCHEMES[parsed.protocol]
  if (parsed === null || scheme === undefined || parsed.hostname === '') {
    throw new TypeError(`'${url}' is no rpc://HOST:PORT, nor with rpcs:, ws: or wss:`)
  }
  const isWebSocket = parsed.protocol === 'ws:' || parsed.protocol === 'wss:'
  const path = decodeURIComponent(parsed.pathname.slice(1))
  const vhost = parsed.searchParams.get('vhost')
  return {
    host: parsed.hostname.replace(/^\[(.*)\]$/, '$1'),
    // A URL leaves the port out that is usual for its scheme: 80 and 443 of WebSockets.
    port: portOf(parsed, scheme.port),
    tls: scheme.tls,
    webSocket: isWebSocket ? (parsed.pathname === '/' ? '/rpc' : parsed.pathname) : null,
    user: overrides.user ?? (decodeURIComponent(parsed.username) || 'guest'),
    password: overrides.password ?? (decodeURIComponent(parsed.password) || 'guest'),
    vhost: overrides.vhost ?? vhost ?? (isWebSocket || path === '' ? '/' : path),
  }
}

/** Where gRPC is spoken, and what each request says beside its call. */
export interface GrpcTarget {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  /** Names and values in turn. */
  readonly fields: readonly string[]
}

export function isGrpcUrl(url: string): boolean {
  return /^grpcs?:/i.test(url)
}

/** A user, where one is named, goes in `authorization`. Throws `TypeError` as `readTarget` does. */
export function readGrpcTarget(url: string, overrides: TargetOverrides = {}): GrpcTarget {
  const parsed = URL.canParse(url) ? new URL(url) : null
  const tls = parsed?.protocol === 'grpcs:'
  if (parsed === null || parsed.hostname === '' || (parsed.port === '' && !tls)) {
    throw new TypeError(`'${url}' is no grpc://HOST:PORT, nor with grpcs:`)
  }
  const user = overrides.user ?? decodeURIComponent(parsed.username)
  const password = overrides.password ?? decodeURIComponent(parsed.password)
  const vhost = overrides.vhost ?? decodeURIComponent(parsed.pathname.slice(1))
  const login = Buffer.from(`${user}:${password}`).toString('base64')
  return {
    host: parsed.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: parsed.port === '' ? HTTPS_PORT : Number(parsed.port),
    tls,
    fields: [
      ...(user === '' || overrides.token !== undefined ? [] : ['authorization', `Basic ${login}`]),
      ...(vhost === '' ? [] : ['waystation-vhost', vhost]),
    ],
  }
}

/** Of gRPC over TLS, when none is named. */
const HTTPS_PORT = 443

function portOf({ port, protocol, href }: URL, standard: number): number {
  if (port !== '') return Number(port)
  const usual = protocol === 'ws:' ? '80' : '443'
  return new RegExp(`^wss?://[^/]*:${usual}(/|$)`).test(href) ? Number(usual) : standard
}
