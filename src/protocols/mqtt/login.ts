import {
  type Authenticator,
  type Credentials,
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
  { authenticator, users, broker }: LoginParts,
  packet: ConnectPacket,
  peer: PeerInfo,
): Promise<Login> {
  const loginPeer = loginPeerOf(peer)
  const { vhostName, credentials } = askedOf(packet, loginPeer.certificateName)
  let user: User
  try {
    user = await authenticator.login(credentials, loginPeer)
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    const cause = error.cause instanceof Error ? error.cause.message : error.message
    const isNamed = packet.username !== null
    const code = isNamed ? REASON.BAD_USER_NAME_OR_PASSWORD : REASON.NOT_AUTHORIZED
    throw new ConnectRefusal(code, `login refused: ${cause}`)
  }
  const vhost = broker.vhost(vhostName)
  try {
    requireVhost(users, user.name, vhostName)
  } catch (error) {
    throw new ConnectRefusal(REASON.NOT_AUTHORIZED, (error as Error).message)
  }
  if (vhost === undefined) {
    throw new ConnectRefusal(REASON.NOT_AUTHORIZED, `no vhost '${vhostName}'`)
  }
  return { user, vhost }
}

function askedOf(
  { username, password }: ConnectPacket,
  certificateName: string | null,
): { readonly vhostName: string; readonly credentials: Credentials } {
  if (username === null || username === '') {
    const credentials: Credentials =
      certificateName === null
        ? ANONYMOUS
        : { mechanism: 'EXTERNAL', username: certificateName, password: null }
    return { vhostName: DEFAULT_VHOST, credentials }
  }
  const at = username.lastIndexOf(':')
  return {
    vhostName: at < 0 ? DEFAULT_VHOST : username.slice(0, at),
    credentials: {
      mechanism: 'PLAIN',
      username: username.slice(at + 1),
      password: password?.toString('utf8') ?? '',
    },
  }
}
