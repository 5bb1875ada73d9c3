import type { PermissionKind, Permissions } from '../../../auth/index.ts'
import { auditChange } from '../audit.ts'
import { ERROR } from '../../../codec/kafka/index.ts'
import { OPERATION, requireAdministrator } from '../acl-operations.ts'
import {
  EVERY_NAME,
  isSame,
  type NamePattern,
  parsePermission,
  renderPermission,
} from '../acl-patterns.ts'
import { refusalOf, Refused } from '../errors.ts'
import type { Handler, Request, RequestContext } from '../request-context.ts'

/** Numbers of `ResourceType`, `PatternType`, `AclPermissionType` and wildcards of `AclOperation`. */
const RESOURCE = { ANY: 1, TOPIC: 2, GROUP: 3, CLUSTER: 4, TRANSACTIONAL_ID: 5 } as const
const PATTERN = { ANY: 1, MATCH: 2, LITERAL: 3, PREFIXED: 4 } as const
const PERMISSION = { ANY: 1, DENY: 2, ALLOW: 3 } as const
const ANY_OPERATION = 1
const ALL_OPERATIONS = 2
const EVERY_HOST = '*'
const PRINCIPAL = /^User:(.+)$/s

const { READ, WRITE, CREATE, DELETE, ALTER, ALTER_CONFIGS } = OPERATION
const { DESCRIBE, DESCRIBE_CONFIGS, IDEMPOTENT_WRITE } = OPERATION

const KINDS: readonly PermissionKind[] = ['configure', 'write', 'read']

/** Our permissions know no types of resources: what they say is said of each type it can mean. */
const SAID: Readonly<Record<PermissionKind, readonly (readonly [type: number, ops: number[]])[]>> =
  {
    configure: [[RESOURCE.TOPIC, [CREATE, DELETE, ALTER, ALTER_CONFIGS]]],
    write: [
      [RESOURCE.TOPIC, [WRITE]],
      [RESOURCE.TRANSACTIONAL_ID, [WRITE]],
    ],
    read: [
      [RESOURCE.TOPIC, [READ]],
      [RESOURCE.GROUP, [READ]],
    ],
  }

/** One thing a user may do, as Kafka says it, and where it stands in our permissions. */
interface Acl {
  readonly user: string
  readonly kind: PermissionKind
  readonly pattern: NamePattern
  readonly resourceType: number
  readonly operation: number
}

type Filter = Request<'DescribeAcls'>

export const handleDescribeAcls: Handler<'DescribeAcls'> = (context, filter, respond) => {
  try {
    requireAdministrator(context)
  } catch (error) {
    respond({ ...refusalOf(error), resources: [] })
    return
  }
  const found = [...aclsOf(context)].filter((acl) => fits(acl, filter))
  const byResource = Map.groupBy(
    found,
    ({ resourceType, pattern }) => `${resourceType} ${pattern.isPrefix} ${pattern.name}`,
  )
  const resources = [...byResource.values()].map((acls) => ({
    ...resourceOf(acls[0]!),
    acls: acls.map(grantOf),
  }))
  respond({ errorCode: ERROR.NONE, resources })
}

export const handleCreateAcls: Handler<'CreateAcls'> = (context, { creations }, respond) => {
  // One after the other: each reads what the one before has written.
  const create = async () => {
    const results = []
    for (const creation of creations) {
      try {
        await createOne(context, creation)
        results.push({ errorCode: ERROR.NONE })
      } catch (error) {
        results.push(refusalOf(error))
      }
    }
    return results
  }
  void create().then((results) => respond({ results }))
}

export const handleDeleteAcls: Handler<'DeleteAcls'> = (context, { filters }, respond) => {
  const remove = async () => {
    const results = []
    for (const asked of filters) {
      const filter: Filter = { ...asked }
      try {
        requireAdministrator(context)
        const acls = [...aclsOf(context)].filter((acl) => fits(acl, filter))
        for (const { user, kind, pattern } of acls) {
          await change(context, user, { kinds: [kind], pattern, adds: false })
        }
        const matchingAcls = acls.map((acl) => ({ ...resourceOf(acl), ...grantOf(acl) }))
        results.push({ errorCode: ERROR.NONE, matchingAcls })
      } catch (error) {
        results.push({ ...refusalOf(error), matchingAcls: [] })
      }
    }
    return results
  }
  void remove().then((filterResults) => respond({ filterResults }))
}

async function createOne(
  context: RequestContext,
  creation: Request<'CreateAcls'>['creations'][number],
): Promise<void> {
  requireAdministrator(context)
  const { resourceType, resourceName, operation, principal, host, permissionType } = creation
  const user = PRINCIPAL.exec(principal)?.[1]
  if (user === undefined || context.shared.users.get(user) === null) {
    throw invalid(`'${principal}' is no user of the broker: add it with waystation add-user`)
  }
  if (permissionType !== PERMISSION.ALLOW) throw invalid('only what is allowed can be said')
  if (host !== EVERY_HOST) throw invalid(`permissions hold for every host, not for '${host}'`)
  const isPrefix = creation.resourcePatternType === PATTERN.PREFIXED
  const isCluster = resourceType === RESOURCE.CLUSTER
  const pattern = isCluster ? EVERY_NAME : { name: resourceName, isPrefix }
  await change(context, user, { kinds: kindsOf(resourceType, operation), pattern, adds: true })
}

function kindsOf(resourceType: number, operation: number): readonly PermissionKind[] {
  // Whoever may do anything may look; whoever is let in may number what it writes.
  const implied: readonly number[] = [DESCRIBE, DESCRIBE_CONFIGS, IDEMPOTENT_WRITE]
  if (implied.includes(operation)) return []
  if (resourceType === RESOURCE.CLUSTER) {
    if (operation === CREATE) return ['configure']
    throw invalid('who may administer the broker is said by its tag: waystation set-tags')
  }
  if (operation === ALL_OPERATIONS) return KINDS
  if (operation === READ) return ['read']
  if (operation === WRITE) return ['write']
  const configures: readonly number[] = [CREATE, DELETE, ALTER, ALTER_CONFIGS]
  if (configures.includes(operation)) return ['configure']
  throw invalid(`operation ${operation} has no meaning here`)
}

function invalid(text: string): Refused {
  return new Refused(ERROR.INVALID_REQUEST, text)
}

async function change(
  context: RequestContext,
  user: string,
  edit: {
    readonly kinds: readonly PermissionKind[]
    readonly pattern: NamePattern
    readonly adds: boolean
  },
): Promise<void> {
  const { shared, vhost } = context
  const [held] = shared.users.listPermissions({ user, vhost: vhost.name })
  const before: Permissions = held ?? { configure: '', write: '', read: '' }
  const after = { configure: before.configure, write: before.write, read: before.read }
  for (const kind of edit.kinds) {
    const parts = parsePermission(after[kind])
    const others = parts.patterns.filter((pattern) => !isSame(pattern, edit.pattern))
    const patterns = edit.adds ? [...others, edit.pattern] : others
    after[kind] = renderPermission({ ...parts, patterns })
  }
  await shared.users.setPermissions(user, vhost.name, after)
  auditChange(context, edit.adds ? 'CreateAcls' : 'DeleteAcls', `permissions of user '${user}'`)
}

function* aclsOf({ shared, vhost }: RequestContext): Generator<Acl> {
  for (const permissions of shared.users.listPermissions({ vhost: vhost.name })) {
    const { user } = permissions
    for (const kind of KINDS) {
      for (const pattern of parsePermission(permissions[kind]).patterns) {
        for (const [resourceType, operations] of SAID[kind]) {
          for (const operation of operations) {
            yield { user, kind, pattern, resourceType, operation }
          }
        }
      }
    }
  }
}

function fits({ user, pattern, resourceType, operation }: Acl, filter: Filter): boolean {
  const { resourceTypeFilter, principalFilter, hostFilter, permissionType } = filter
  return (
    (resourceTypeFilter === RESOURCE.ANY || resourceTypeFilter === resourceType) &&
    (principalFilter === null || principalFilter === `User:${user}`) &&
    (hostFilter === null || hostFilter === EVERY_HOST) &&
    (filter.operation === ANY_OPERATION || filter.operation === operation) &&
    permissionType !== PERMISSION.DENY &&
    fitsName(pattern, filter)
  )
}

function fitsName(
  { name, isPrefix }: NamePattern,
  { resourceNameFilter: wanted, patternTypeFilter: type }: Filter,
): boolean {
  if (type === PATTERN.LITERAL && isPrefix) return false
  if (type === PATTERN.PREFIXED && !isPrefix) return false
  if (wanted === null) return true
  if (type !== PATTERN.MATCH) return name === wanted
  return isPrefix ? wanted.startsWith(name) : name === wanted || name === EVERY_NAME.name
}

function resourceOf({ resourceType, pattern }: Acl) {
  return {
    resourceType,
    resourceName: pattern.name,
    patternType: pattern.isPrefix ? PATTERN.PREFIXED : PATTERN.LITERAL,
  }
}

function grantOf({ user, operation }: Acl) {
  return {
    principal: `User:${user}`,
    host: EVERY_HOST,
    operation,
    permissionType: PERMISSION.ALLOW,
  }
}
