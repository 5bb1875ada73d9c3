import type { User } from '../../auth/index.ts'
import type { MethodOf } from '../../codec/amqp091/index.ts'
import { HOLD, loginPeerOf } from '../../net/index.ts'
import type { Amqp091Connection } from './connection.ts'

/** As RabbitMQ tells it. */
const REFUSED = 'New secret was refused by one of the backends'

/**
 * connection.update-secret: a new token in the place of one that ends, with what the new one allows.
 * The client goes on when it is answered.
 */
export function updateSecret(
  connection: Amqp091Connection,
  { newSecret }: MethodOf<'connection.update-secret'>,
): void {
  const { user, authenticator, peer } = connection
  if (user.expiresAtMs === undefined) {
    // Passwords do not expire: the new one is as good as the one that opened the door.
    connection.send(0, { name: 'connection.update-secret-ok' })
    return
  }
  connection.hold(HOLD.ANSWER)
  const credentials = {
    mechanism: 'UPDATE-SECRET',
    username: user.name,
    token: newSecret.toString('utf8'),
  }
  authenticator.login(credentials, loginPeerOf(peer)).then(
    (renewed) => finish(connection, renewed),
    (error: unknown) => {
      const cause = error instanceof Error ? (error.cause ?? error) : error
      connection.log.warn({ connection: connection.name, err: cause }, 'a new token was refused')
      finish(connection, null)
    },
  )
}

function finish(connection: Amqp091Connection, renewed: User | null): void {
  if (!connection.isRunning) return
  if (renewed === null || renewed.name !== connection.user.name) {
    connection.close('NOT_ALLOWED', REFUSED)
    return
  }
  connection.loggedIn(renewed, connection.client.mechanism ?? 'PLAIN')
  connection.permissionsChanged()
  connection.send(0, { name: 'connection.update-secret-ok' })
  connection.proceed(HOLD.ANSWER)
}
