/** The server's half of SASL mechanisms: responses in, what to do next out; no socket, no clock. */
import type { HeaderMap, HeaderValue } from '../model/header-value.ts'
import type { Credentials, Peer } from './credentials.ts'

/**
 * `challenge`: send this and wait for a response. `login`: hand these to the authenticator.
 * `malformed`: the peer does not speak the mechanism; the reason is for the log.
 */
export type SaslStep =
  | { readonly kind: 'challenge'; readonly data: Buffer }
  | {
      readonly kind: 'login'
      readonly credentials: Credentials
      /** What the peer is told when the login is good, where the mechanism has something. */
      readonly success?: Buffer
      /** What the peer is told first when it is not, where it must answer that. */
      readonly refusal?: Buffer
    }
  | { readonly kind: 'malformed'; readonly reason: string }

export interface SaslMechanism {
  readonly name: string
  /** AMQPLAIN takes the decoded table, every other mechanism bytes. */
  respond(response: Uint8Array | HeaderMap): SaslStep
}

const NO_BYTES: Buffer = Buffer.alloc(0)

/** RFC 4616: `[authorization identity] NUL user NUL password`. */
class Plain implements SaslMechanism {
  readonly name = 'PLAIN'
  #asked = false

  respond(response: Uint8Array | HeaderMap): SaslStep {
    if (!(response instanceof Uint8Array)) return malformed('PLAIN takes bytes, not a table')
    // A protocol without an initial response starts with an empty one, and is asked.
    if (response.byteLength === 0 && !this.#asked) {
      this.#asked = true
      return { kind: 'challenge', data: NO_BYTES }
    }
    const parts = textOf(response)?.split('\0')
    if (parts?.length !== 3) return malformed('a PLAIN response has three parts, divided by NUL')
    const [authorizeAs = '', username = '', password = ''] = parts
    if (authorizeAs !== '' && authorizeAs !== username) {
      return malformed('a user cannot act as another one')
    }
    if (username === '' && password === '') return malformed('a PLAIN response says nobody')
    return { kind: 'login', credentials: { mechanism: this.name, username, password } }
  }
}

/** AMQP's older form: a table with LOGIN and PASSWORD. */
class AmqPlain implements SaslMechanism {
  readonly name = 'AMQPLAIN'

  respond(response: Uint8Array | HeaderMap): SaslStep {
    if (response instanceof Uint8Array) return malformed('AMQPLAIN takes a table, not bytes')
    const username = textField(response.get('LOGIN'))
    const password = textField(response.get('PASSWORD'))
    if (username === null || username === '' || password === null) {
      return malformed('AMQPLAIN auth info is missing LOGIN or PASSWORD field')
    }
    return { kind: 'login', credentials: { mechanism: this.name, username, password } }
  }
}

/** The client certificate says who it is; the response may repeat it. */
class External implements SaslMechanism {
  readonly name = 'EXTERNAL'
  readonly #certificateName: string

  constructor(certificateName: string) {
    this.#certificateName = certificateName
  }

  respond(response: Uint8Array | HeaderMap): SaslStep {
    if (!(response instanceof Uint8Array)) return malformed('EXTERNAL takes bytes, not a table')
    const authorizeAs = textOf(response)
    if (authorizeAs === null) return malformed('an EXTERNAL response is text in UTF-8')
    if (authorizeAs !== '' && authorizeAs !== this.#certificateName) {
      return malformed('a user cannot act as another one')
    }
    const username = this.#certificateName
    return { kind: 'login', credentials: { mechanism: this.name, username, password: null } }
  }
}

type SaslFactory = (peer: Peer) => SaslMechanism | null

const FACTORIES: ReadonlyMap<string, SaslFactory> = new Map<string, SaslFactory>([
  ['PLAIN', () => new Plain()],
  ['AMQPLAIN', () => new AmqPlain()],
  ['EXTERNAL', ({ certificateName }) => (certificateName ? new External(certificateName) : null)],
])

/** What a peer may choose from: EXTERNAL needs a verified client certificate. */
export function saslMechanisms(peer: Peer): readonly string[] {
  return [...FACTORIES].filter(([, make]) => make(peer) !== null).map(([name]) => name)
}

/** One object a login; null for a mechanism that is unknown or not open to this peer. */
export function createSaslMechanism(name: string, peer: Peer): SaslMechanism | null {
  return FACTORIES.get(name)?.(peer) ?? null
}

function textField(value: HeaderValue | undefined): string | null {
  if (typeof value === 'string') return value
  return value instanceof Uint8Array ? textOf(value) : null
}

/** null when the bytes are not UTF-8: two different passwords must not read the same. */
function textOf(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    // Not an error of ours: the peer sent it.
    return null
  }
}

function malformed(reason: string): SaslStep {
  return { kind: 'malformed', reason }
}
