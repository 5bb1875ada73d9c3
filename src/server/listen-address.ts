/** Where a listener binds. */
export interface ListenAddress {
  /** A name or an IP address without brackets. */
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
}

/** How an address may be written, as a phrase that fits behind 'expected'. */
export const LISTEN_ADDRESS_FORM =
  "an address such as 127.0.0.1:5672, [::1]:5672 or *:5672, a port from 0 to 65535, or 'off'"

const PORT_MAX = 65_535

/**
 * Reads `HOST:PORT`, `[IPV6]:PORT`, `*:PORT`, a lone port (on loopback) or `off`; null stands for
 * off and undefined for anything that cannot be read. `*` is every address of both families.
 */
export function parseListenAddress(
  value: string | number | boolean,
): ListenAddress | null | undefined {
  // YAML 1.1 readers and environments write 'off' in these ways too.
  if (value === false || value === 'off' || value === 'false' || value === 'none') return null
  if (typeof value === 'boolean') return undefined
  const text = String(value).trim()
  if (/^\d+$/.test(text)) return withPort('127.0.0.1', text)
  const match = /^(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:[\]\s/]+)):(\d+)$/.exec(text)
  if (match === null) return undefined
  const host = match[1] ?? match[2] ?? ''
  return withPort(host === '*' ? '::' : host, match[3] ?? '')
}

function withPort(host: string, digits: string): ListenAddress | undefined {
  const port = Number(digits)
  return digits.length <= 5 && port <= PORT_MAX ? { host, port } : undefined
}

/** `127.0.0.1:5672`, `[::1]:5672`. */
export function formatListenAddress({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Whether only programs of this machine can connect to it. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase()
  if (name === 'localhost' || name === '::1') return true
  const mapped = /^(?:::ffff:)?(\d+)\.\d+\.\d+\.\d+$/.exec(name)
  return mapped?.[1] === '127'
}

/** The address a client of this machine uses: one that stands for all is replaced by loopback. */
export function connectAddress({ host, port }: ListenAddress): ListenAddress {
  if (host === '0.0.0.0') return { host: '127.0.0.1', port }
  if (host === '::' || host === '') return { host: '::1', port }
  return { host, port }
}
