import { AdminClient, apiPath, type ConnectFlags } from './admin-client.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printJson } from './listings.ts'
import { readNewPassword } from './password.ts'
import { cellText } from './table.ts'

export interface ChangeFlags extends ConnectFlags {
  readonly json?: boolean
}

export interface VhostFlags extends ChangeFlags {
  readonly vhost: string
}

interface Change {
  readonly method: 'PUT' | 'PATCH' | 'DELETE' | 'POST'
  readonly path: string
  readonly body?: unknown
  /** What was done, for a person. */
  readonly done: (answer: unknown) => string
}

/** Asks for the change and says that it is made. */
export async function change(
  flags: ChangeFlags,
  { method, path, body, done }: Change,
): Promise<void> {
  const client = await AdminClient.connect(flags)
  const answer = await client.request(method, path, body)
  if (flags.json === true) printJson(answer ?? { done: true })
  else process.stdout.write(`${done(answer)}\n`)
}

export interface AddUserFlags extends ChangeFlags {
  readonly tag?: readonly string[]
  /** False: `--no-password`. */
  readonly password: boolean
}

export async function addUser(name: string, flags: AddUserFlags): Promise<void> {
  const password = flags.password ? await readNewPassword(name) : null
  await change(flags, {
    method: 'PUT',
    path: apiPath(['users', name]),
    body: { password, tags: flags.tag ?? [] },
    done: () =>
      `user ${cellText(name)} added; it may do nothing until you allow it, for example:\n` +
      `waystation set-permissions ${cellText(name)} '.*' '.*' '.*'`,
  })
}

export async function deleteUser(name: string, flags: ChangeFlags): Promise<void> {
  await change(flags, {
    method: 'DELETE',
    path: apiPath(['users', name]),
    done: () => `user ${cellText(name)} deleted, its connections are closed`,
  })
}

export async function changePassword(name: string, flags: ChangeFlags): Promise<void> {
  await change(flags, {
    method: 'PATCH',
    path: apiPath(['users', name]),
    body: { password: await readNewPassword(name) },
    done: () => `password of user ${cellText(name)} changed`,
  })
}

export async function setTags(
  name: string,
  tags: readonly string[],
  flags: ChangeFlags,
): Promise<void> {
  await change(flags, {
    method: 'PATCH',
    path: apiPath(['users', name]),
    body: { tags },
    done: () => `user ${cellText(name)} is tagged ${tags.map(cellText).join(', ') || 'nothing'}`,
  })
}

export interface Permissions {
  readonly configure: string
  readonly write: string
  readonly read: string
}

export async function setPermissions(
  user: string,
  permissions: Permissions,
  flags: VhostFlags,
): Promise<void> {
  await change(flags, {
    method: 'PUT',
    path: apiPath(['permissions', flags.vhost, user]),
    body: permissions,
    done: () => `permissions of user ${cellText(user)} set in virtual host ${flags.vhost}`,
  })
}

export async function clearPermissions(user: string, flags: VhostFlags): Promise<void> {
  await change(flags, {
    method: 'DELETE',
    path: apiPath(['permissions', flags.vhost, user]),
    done: () => `user ${cellText(user)} may do nothing any more in virtual host ${flags.vhost}`,
  })
}

export interface PolicyFlags extends VhostFlags {
  readonly applyTo: string
  readonly priority: string
}

export async function setPolicy(
  { name, pattern, definition }: { name: string; pattern: string; definition: string },
  flags: PolicyFlags,
): Promise<void> {
  await change(flags, {
    method: 'PUT',
    path: apiPath(['policies', flags.vhost, name]),
    body: {
      pattern,
      appliesTo: flags.applyTo,
      priority: Number(flags.priority),
      definition: parseDefinition(definition),
    },
    done: () => `policy ${cellText(name)} set in virtual host ${flags.vhost}`,
  })
}

export async function deletePolicy(name: string, flags: VhostFlags): Promise<void> {
  await change(flags, {
    method: 'DELETE',
    path: apiPath(['policies', flags.vhost, name]),
    done: () => `policy ${cellText(name)} deleted in virtual host ${flags.vhost}`,
  })
}

export async function addVhost(name: string, flags: ChangeFlags): Promise<void> {
  await change(flags, {
    method: 'PUT',
    path: apiPath(['vhosts', name]),
    done: () =>
      `virtual host ${cellText(name)} added; let users in, for example:\n` +
      `waystation set-permissions --vhost ${cellText(name)} USER '.*' '.*' '.*'`,
  })
}

export async function setDeclareMismatch(
  name: string,
  mode: string,
  flags: ChangeFlags,
): Promise<void> {
  await change(flags, {
    method: 'PATCH',
    path: apiPath(['vhosts', name]),
    body: { declareMismatch: mode },
    done: () => `other settings in a declaration: ${mode}, in virtual host ${cellText(name)}`,
  })
}

export async function setVhostLimits(definition: string, flags: VhostFlags): Promise<void> {
  await change(flags, {
    method: 'PUT',
    path: apiPath(['vhosts', flags.vhost, 'limits']),
    body: parseDefinition(definition),
    done: () => `limits of virtual host ${cellText(flags.vhost)} set`,
  })
}

export async function clearVhostLimits(flags: VhostFlags): Promise<void> {
  await change(flags, {
    method: 'DELETE',
    path: apiPath(['vhosts', flags.vhost, 'limits']),
    done: () => `virtual host ${cellText(flags.vhost)} has no limits any more`,
  })
}

export async function setUserLimits(
  user: string,
  definition: string,
  flags: ChangeFlags,
): Promise<void> {
  await change(flags, {
    method: 'PUT',
    path: apiPath(['users', user, 'limits']),
    body: parseDefinition(definition),
    done: () => `limits of user ${cellText(user)} set`,
  })
}

/** One of them, or `all`. */
export async function clearUserLimits(
  user: string,
  limit: string,
  flags: ChangeFlags,
): Promise<void> {
  const path = apiPath(['users', user, 'limits'])
  await change(flags, {
    ...(limit === 'all'
      ? { method: 'DELETE', path }
      : { method: 'PUT', path, body: { [limit]: -1 } }),
    done: () => `limit ${cellText(limit)} of user ${cellText(user)} cleared`,
  })
}

export async function deleteVhost(name: string, flags: ChangeFlags): Promise<void> {
  await change(flags, {
    method: 'DELETE',
    path: apiPath(['vhosts', name]),
    done: () => `virtual host ${cellText(name)} deleted with everything in it`,
  })
}

export async function purge(queue: string, flags: VhostFlags): Promise<void> {
  await change(flags, {
    method: 'POST',
    path: apiPath(['destinations', flags.vhost, queue, 'purge']),
    done: (answer) => `${messages(answer)} dropped from queue ${cellText(queue)}`,
  })
}

export interface DeleteQueueFlags extends VhostFlags {
  readonly ifUnused?: boolean
  readonly ifEmpty?: boolean
}

export async function deleteQueue(queue: string, flags: DeleteQueueFlags): Promise<void> {
  const query = {
    ...(flags.ifUnused === true ? { ifUnused: 'true' } : {}),
    ...(flags.ifEmpty === true ? { ifEmpty: 'true' } : {}),
  }
  await change(flags, {
    method: 'DELETE',
    path: apiPath(['destinations', flags.vhost, queue], query),
    done: (answer) => `queue ${cellText(queue)} deleted with ${messages(answer)}`,
  })
}

export async function closeConnection(id: string, flags: ChangeFlags): Promise<void> {
  await change(flags, {
    method: 'DELETE',
    path: apiPath(['connections', id]),
    done: () => `connection ${cellText(id)} closed`,
  })
}

function messages(answer: unknown): string {
  const { messages: count } = answer as { readonly messages: number }
  return `${count} message${count === 1 ? '' : 's'}`
}

function parseDefinition(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    const example = `'{"max-length": 1000}'`
    const message = `the definition is not JSON: ${(cause as Error).message}; such as ${example}`
    throw new CommandError(EXIT.USAGE, message, { cause })
  }
}
