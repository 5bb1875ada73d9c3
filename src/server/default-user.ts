import type { UserStore } from '../auth/index.ts'
import { DEFAULT_VHOST } from '../broker/broker.ts'
import { formatListenAddress, isLoopback } from './listen-address.ts'
import type { DefaultUser, ListenerConfig } from './server-config.ts'
import { StartupError } from './startup-error.ts'

/** The user that a fresh store has; the name and password every client of RabbitMQ tries first. */
const BUILT_IN_USER: DefaultUser = { name: 'guest', password: 'guest' }

const EVERYTHING = '.*'

/** Whether the built-in user still has the password that everybody knows. */
export async function hasBuiltInPassword(users: UserStore): Promise<boolean> {
  const { name, password } = BUILT_IN_USER
  return users.get(name) !== null && (await users.verifyPassword(name, password))
}

/**
 * Puts the configured first user in the place of the built-in one. Does nothing where users were
 * changed before: the configuration is for the first start only, and never undoes what an
 * administrator did.
 */
export async function applyDefaultUser(users: UserStore, user: DefaultUser): Promise<void> {
  const known = users.list()
  const isUntouched = known.length === 1 && known[0]?.name === BUILT_IN_USER.name
  if (!isUntouched || !(await hasBuiltInPassword(users))) return
  if (user.name === BUILT_IN_USER.name) {
    await users.setPassword(user.name, user.password)
    return
  }
  await users.add(user.name, user.password, ['administrator'])
  await users.setPermissions(user.name, DEFAULT_VHOST, {
    configure: EVERYTHING,
    write: EVERYTHING,
    read: EVERYTHING,
  })
  await users.remove(BUILT_IN_USER.name)
}

/** Throws `StartupError` where other machines could reach a broker with the built-in password. */
export async function refuseKnownPassword(
  users: UserStore,
  listeners: readonly ListenerConfig[],
): Promise<void> {
  const wide = listeners.filter(({ address }) => !isLoopback(address.host))
  if (wide.length === 0 || !(await hasBuiltInPassword(users))) return
  const where = wide.map(({ port, address }) => `${port.name}=${formatListenAddress(address)}`)
  throw new StartupError(
    'unsafe',
    `${where.join(' and ')} would be open to other machines while user guest has password guest\n` +
      'at the first start, set WAYSTATION_DEFAULT_USER_NAME and ' +
      'WAYSTATION_DEFAULT_USER_PASSWORD_FILE;\n' +
      'later, start on loopback, then: waystation add-user NAME --tag administrator, ' +
      'waystation delete-user guest',
  )
}
