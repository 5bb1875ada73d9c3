import { createHash, timingSafeEqual } from 'node:crypto'
import type { Callee } from '../rpc/call.ts'
import {
  basicOf,
  type Caller,
  isBasic,
  Login,
  type Logins,
  OwnServices,
} from '../rpc/grpc/index.ts'
import type { Registry } from '../rpc/registry.ts'
import { type Status, statusOf } from '../rpc/status.ts'
import type { LocalChannel } from './local-channel.ts'

/** What callers of a provider that listens must name. */
export interface DirectLogin {
  readonly user: string
  readonly password: string
  /** Whoever names nobody may call all the same: it is the login that everybody knows. */
  readonly isOpen: boolean
}

/** Logins of those that call a provider itself over HTTP. */
export class DirectLogins implements Logins {
  readonly callers: readonly Caller[]
  readonly #login: DirectLogin
  readonly #caller: DirectCaller
  /** What was right before, on this connection. */
  #accepted: string | null = null

  constructor(login: DirectLogin, channel: LocalChannel) {
    this.#login = login
    this.#caller = new DirectCaller(login.user, channel)
    this.callers = [this.#caller]
  }

  isOurs(authorization: string): boolean {
    return isBasic(authorization)
  }

  of(authorization: string): Login {
    const login = new Login()
    login.end(this.#isRight(authorization) ? this.#caller : REFUSED)
    return login
  }

  #isRight(authorization: string): boolean {
    if (authorization === this.#accepted) return true
    const { user, password, isOpen } = this.#login
    const basic = basicOf(authorization)
    if (basic === null) return isOpen
    const isRight = isSame(
      Buffer.from(`\0${basic.username}\0${basic.password}`),
      Buffer.from(`\0${user}\0${password}`),
    )
    if (isRight) this.#accepted = authorization
    return isRight
  }
}

const REFUSED: Status = statusOf('UNAUTHENTICATED', 'Login was refused')

class DirectCaller implements Caller {
  readonly user: string
  readonly vhost = null
  readonly relay: Callee
  readonly own: Callee
  readonly #registry: Registry

  constructor(user: string, channel: LocalChannel) {
    this.user = user
    this.relay = channel
    this.#registry = channel.registry
    this.own = new OwnServices({ registry: channel.registry, maySee: () => true })
  }

  /** Who may call one service of a provider may call all of them. */
  refusalOf(): null {
    return null
  }

  isSafe(path: string): boolean {
    return this.#registry.isSafe(path)
  }

  forget(): void {}
  drain(): void {}
}

/** Takes as long whatever is different. */
export function isSame(one: Uint8Array, other: Uint8Array): boolean {
  const digest = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()
  return timingSafeEqual(digest(one), digest(other))
}
