import {
  type Authenticator,
  type Credentials,
  isTokenForm,
  principalOf,
  requireVhost,
  type User,
  type UserStore,
} from '../../auth/index.ts'
import { type Broker, DEFAULT_VHOST, type VirtualHost } from '../../broker/index.ts'
import { type ConnectPacket, REASON } from '../../codec/mqtt/index.ts'
import { BrokerError } from '../../model/errors.ts'
import { loginPeerOf, type PeerInfo } from '../../net/index.ts'
import { ConnectRefusal } from './faults.ts'

/** Who a client without a name is; from this machine only, and only with the built-in password. */
const ANONYMOUS: Credentials = { mechanism: 'PLAIN', username: 'guest', password: 'guest' }

export interface LoginParts {
  readonly authenticator: Authenticator
  readonly users: UserStore
  readonly broker: Broker
  /** Over TLS the user is whom the certificate names, whatever CONNECT says. */
  readonly useIdentityAsUsername: boolean
}

export interface Login {
  readonly user: User
  readonly vhost: VirtualHost
}

/**
 * Checks user name and password, or the certificate where neither is given. `VHOST:USER` chooses a
 * virtual host, as with RabbitMQ. Rejects with `ConnectRefusal`.
 */
export async function login(
  parts: LoginParts,
  packet: ConnectPacket,
  peer: PeerInfo,
): Promise<Login> {
  const loginPeer = loginPeerOf(peer)
  const { vhostName, username } = namesOf(packet)
  const { certificateName } = loginPeer
  const isIdentity = parts.useIdentityAsUsername && peer.tls !== null
  if (isIdentity && certificateName === null) {
    throw new ConnectRefusal(
      REASON.NOT_AUTHORIZED,
      'the certificate, if there is one, names nobody',
    )
  }
  const credentials: Credentials =
    isIdentity && certificateName !== null
      ? { mechanism: 'EXTERNAL', username: certificateName, password: null }
      : credentialsOf(packet, username, certificateName)
  let user: User
  try {
    user = await parts.authenticator.login(credentials, loginPeer)
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    const { message, cause } = error
    const isNamed = packet.username !== null
    const code = isNamed ? REASON.BAD_USER_NAME_OR_PASSWORD : REASON.NOT_AUTHORIZED
    throw new ConnectRefusal(code, message, { cause })
  }
  return entered(parts, user, vhostName)
}

/**
 * Where a user goes who is known by a method of MQTT 5. A user name in CONNECT is not needed then;
 * it may choose the virtual host (`VHOST:`), and must be of the same user. Throws `ConnectRefusal`.
 */
export function enter(parts: LoginParts, packet: ConnectPacket, user: User): Login {
  const { vhostName, username } = namesOf(packet)
  if (username !== '' && username !== user.name) {
    const text = `CONNECT names user '${username}', the authentication '${user.name}'`
    throw new ConnectRefusal(REASON.NOT_AUTHORIZED, text)
  }
  return entered(parts, user, vhostName)
}

function entered({ users, broker }: LoginParts, user: User, vhostName: string): Login {
  const vhost = broker.vhost(vhostName)
  try {
    requireVhost(users, principalOf(user), vhostName)
  } catch (error) {
    throw new ConnectRefusal(REASON.NOT_AUTHORIZED, (error as Error).message)
  }
  if (vhost === undefined) {
    throw new ConnectRefusal(REASON.NOT_AUTHORIZED, `no vhost '${vhostName}'`)
  }
  return { user, vhost }
}

function namesOf({ username }: ConnectPacket): {
  readonly vhostName: string
  readonly username: string
} {
  const name = username ?? ''
  const at = name.lastIndexOf(':')
  return { vhostName: at < 0 ? DEFAULT_VHOST : name.slice(0, at), username: name.slice(at + 1) }
}

function credentialsOf(
  packet: ConnectPacket,
  username: string,
  certificateName: string | null,
): Credentials {
  if (packet.username !== null && packet.username !== '') {
    return { mechanism: 'PLAIN', username, password: packet.password?.toString('utf8') ?? '' }
  }
  // MQTT 5 lets a password go without a name, and a token needs none.
  const password = packet.password?.toString('utf8') ?? ''
  if (isTokenForm(password)) return { mechanism: 'PLAIN', username, password }
  if (certificateName === null) return ANONYMOUS
  return { mechanism: 'EXTERNAL', username: certificateName, password: null }
}
