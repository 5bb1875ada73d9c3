import {
  type Authenticator,
  createSaslMechanism,
  principalOf,
  requireVhost,
  type SaslMechanism,
  saslMechanisms,
  type User,
  type UserStore,
} from '../../auth/index.ts'
import type { Broker, VirtualHost } from '../../broker/index.ts'
import {
  AmqpFrameError,
  decodeFieldTableContent,
  decodeMethod,
  type FieldTable,
  type FieldValue,
  FRAME_SIZE_MIN,
  isFieldTable,
  type MethodInput,
  type MethodOf,
} from '../../codec/amqp091/index.ts'
import { loginPeerOf, type PeerInfo } from '../../net/index.ts'
import { AmqpError } from './errors.ts'
import type { Amqp091Limits } from './limits.ts'
import { headerMapOf } from './mapping.ts'

/** What the client said it can do; each costs a method it would not understand otherwise. */
export interface ClientCapabilities {
  readonly consumerCancelNotify: boolean
  readonly connectionBlocked: boolean
  readonly authenticationFailureClose: boolean
}

export const NO_CAPABILITIES: ClientCapabilities = {
  consumerCancelNotify: false,
  connectionBlocked: false,
  authenticationFailureClose: false,
}

/** What both sides agreed on in tune. */
export interface Tuning {
  readonly channelMax: number
  readonly frameSizeMax: number
  readonly heartbeatSeconds: number
}

export type HandshakeState = 'starting' | 'authenticating' | 'tuning' | 'opening'

/** What the handshake needs of its connection. */
export interface HandshakeHost {
  readonly peer: PeerInfo
  readonly broker: Broker
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly limits: Amqp091Limits
  readonly serverProperties: FieldTable
  send(channel: number, method: MethodInput): void
  /** Parses nothing more until the promise is settled. */
  awaitSetup<Value>(promise: Promise<Value>, done: (value: Value) => void): void
  /** Wrong user or password: told with 403 or shown the door. */
  loginRefused(mechanism: string, error: unknown): void
  clientKnown(properties: FieldTable, capabilities: ClientCapabilities): void
  loggedIn(user: User, mechanism: string): void
  tuned(tuning: Tuning): void
  opened(vhost: VirtualHost): void
}

/** From the protocol header to connection.open-ok: who it is, how to talk, where to. */
export class Handshake {
  state: HandshakeState = 'starting'
  readonly #host: HandshakeHost
  #mechanism: SaslMechanism | null = null
  #user: User | null = null

  constructor(host: HandshakeHost) {
    this.#host = host
  }

  start(): void {
    this.#host.send(0, {
      name: 'connection.start',
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: this.#host.serverProperties,
      mechanisms: saslMechanisms(loginPeerOf(this.#host.peer)).join(' '),
      locales: 'en_US',
    })
  }

  onMethod(methodId: number, bytes: Buffer, start: number, end: number): void {
    const method = decodeMethod(methodId, bytes, start, end)
    if (method.name === 'connection.start-ok' && this.state === 'starting') {
      this.#startOk(method)
    } else if (method.name === 'connection.secure-ok' && this.state === 'authenticating') {
      this.#respond(method.response)
    } else if (method.name === 'connection.tune-ok' && this.state === 'tuning') {
      this.#tuneOk(method)
    } else if (method.name === 'connection.open' && this.state === 'opening') {
      this.#open(method.virtualHost)
    } else {
      const text = `unexpected method in connection state ${this.state}`
      throw new AmqpError('CHANNEL_ERROR', text)
    }
  }

  #startOk(method: MethodOf<'connection.start-ok'>): void {
    const properties = method.clientProperties
    this.#host.clientKnown(properties, capabilitiesOf(properties))
    const { peer } = this.#host
    this.#mechanism = createSaslMechanism(method.mechanism, loginPeerOf(peer))
    if (this.#mechanism === null) {
      const text = `unknown authentication mechanism '${method.mechanism}'`
      throw new AmqpError('COMMAND_INVALID', text)
    }
    this.state = 'authenticating'
    this.#respond(method.response)
  }

  #respond(response: Buffer): void {
    const mechanism = this.#mechanism!
    const step =
      mechanism.name === 'AMQPLAIN'
        ? mechanism.respond(headerMapOf(decodeFieldTableContent(response, 0, response.length)))
        : mechanism.respond(response)
    if (step.kind === 'challenge') {
      this.#host.send(0, { name: 'connection.secure', challenge: step.data })
      return
    }
    if (step.kind === 'malformed') throw new AmqpFrameError('SYNTAX_ERROR', step.reason)
    const { authenticator, peer } = this.#host
    const login = authenticator.login(step.credentials, loginPeerOf(peer)).then(
      (user) => ({ user, error: null }),
      (error: unknown) => ({ user: null, error }),
    )
    this.#host.awaitSetup(login, ({ user, error }) => {
      if (user === null) this.#host.loginRefused(mechanism.name, error)
      else this.#loggedIn(user, mechanism.name)
    })
  }

  #loggedIn(user: User, mechanism: string): void {
    this.#user = user
    this.#host.loggedIn(user, mechanism)
    this.state = 'tuning'
    const { channelMax, frameSizeMax, heartbeatSeconds } = this.#host.limits
    this.#host.send(0, {
      name: 'connection.tune',
      channelMax,
      frameMax: frameSizeMax,
      heartbeat: heartbeatSeconds,
    })
  }

  #tuneOk(method: MethodOf<'connection.tune-ok'>): void {
    const { limits } = this.#host
    // The specification lets 0 mean "no limit": then ours holds.
    const channelMax = method.channelMax || limits.channelMax
    const frameSizeMax = method.frameMax || limits.frameSizeMax
    requireAtMost('channel_max', channelMax, limits.channelMax)
    requireAtMost('frame_max', frameSizeMax, limits.frameSizeMax)
    if (frameSizeMax < FRAME_SIZE_MIN) {
      throw new AmqpError(
        'NOT_ALLOWED',
        `negotiated frame_max = ${frameSizeMax} is lower than the minimum allowed value (${FRAME_SIZE_MIN})`,
      )
    }
    this.state = 'opening'
    this.#host.tuned({ channelMax, frameSizeMax, heartbeatSeconds: method.heartbeat })
  }

  #open(name: string): void {
    const { broker, users } = this.#host
    const vhost = broker.vhost(name)
    if (vhost === undefined) throw new AmqpError('NOT_ALLOWED', `vhost ${name} not found`)
    requireVhost(users, principalOf(this.#user!), name)
    this.#host.opened(vhost)
    this.#host.send(0, { name: 'connection.open-ok', knownHosts: '' })
  }
}

function requireAtMost(field: string, value: number, max: number): void {
  if (value <= max) return
  throw new AmqpError(
    'NOT_ALLOWED',
    `negotiated ${field} = ${value} is higher than the maximum allowed value (${max})`,
  )
}

function capabilitiesOf(properties: FieldTable): ClientCapabilities {
  const table: FieldValue | undefined = properties.get('capabilities')
  if (!isFieldTable(table)) return NO_CAPABILITIES
  return {
    consumerCancelNotify: table.get('consumer_cancel_notify') === true,
    connectionBlocked: table.get('connection.blocked') === true,
    authenticationFailureClose: table.get('authentication_failure_close') === true,
  }
}
