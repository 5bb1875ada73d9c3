import { auditChange } from '../audit.ts'
import { ERROR } from '../../../codec/kafka/index.ts'
import { requireAdministrator } from '../acl-operations.ts'
import { refusalOf, Refused } from '../errors.ts'
import { type Quota, QUOTA_KEYS, type QuotaEntity } from '../quotas.ts'
import type { Handler, Request, RequestContext } from '../request-context.ts'
import { stored } from '../stored.ts'

const USER = 'user'
const CLIENT_ID = 'client-id'
/** How a component of a filter is to be met. */
const MATCH = { EXACT: 0, DEFAULT: 1, ANY: 2 } as const

type Component = Request<'DescribeClientQuotas'>['components'][number]

export const handleDescribeClientQuotas: Handler<'DescribeClientQuotas'> = (
  context,
  { components, strict },
  respond,
) => {
  try {
    requireAdministrator(context)
    for (const { entityType } of components) checkType(entityType)
    const entries = [...context.shared.quotas.all()]
      .filter(({ entity }) => fits(entity, components, strict))
      .map(entryOf)
    respond({ errorCode: ERROR.NONE, entries })
  } catch (error) {
    respond({ ...refusalOf(error), entries: null })
  }
}

function fits(entity: QuotaEntity, components: readonly Component[], isStrict: boolean): boolean {
  const names = namesOf(entity)
  if (isStrict && names.size !== components.length) return false
  return components.every(({ entityType, matchType, match }) => {
    const name = names.get(entityType)
    if (name === undefined) return false
    if (matchType === MATCH.EXACT) return name === match
    return matchType === MATCH.DEFAULT ? name === null : true
  })
}

function namesOf({ user, clientId }: QuotaEntity): Map<string, string | null> {
  const names = new Map<string, string | null>()
  if (user !== undefined) names.set(USER, user)
  if (clientId !== undefined) names.set(CLIENT_ID, clientId)
  return names
}

function entryOf({ entity, values }: Quota) {
  return {
    entity: Array.from(namesOf(entity), ([entityType, entityName]) => ({ entityType, entityName })),
    values: Array.from(values, ([key, value]) => ({ key, value })),
  }
}

export const handleAlterClientQuotas: Handler<'AlterClientQuotas'> = (
  context,
  { entries, validateOnly },
  respond,
) => {
  const answers = entries.map(({ entity, ops }) => {
    try {
      alterOne(context, { entity, ops }, validateOnly)
      return { errorCode: ERROR.NONE, entity }
    } catch (error) {
      return { ...refusalOf(error), entity }
    }
  })
  stored(context.shared.broker).then(
    () => respond({ entries: answers }),
    (error: unknown) => context.connection.fail(`quotas could not be stored: ${String(error)}`),
  )
}

function alterOne(
  context: RequestContext,
  { entity: parts, ops }: Request<'AlterClientQuotas'>['entries'][number],
  validateOnly: boolean,
): void {
  requireAdministrator(context)
  const entity: { user?: string | null; clientId?: string | null } = {}
  for (const { entityType, entityName } of parts) {
    checkType(entityType)
    if (entityType === USER) entity.user = entityName
    else entity.clientId = entityName
  }
  if (parts.length === 0) throw new Refused(ERROR.INVALID_REQUEST, 'a quota of nobody')
  const change = new Map<string, number | null>()
  for (const { key, value, remove } of ops) {
    if (!QUOTA_KEYS.includes(key)) {
      throw new Refused(ERROR.INVALID_REQUEST, `Invalid configuration key ${key}`)
    }
    if (!remove && !(value > 0)) {
      throw new Refused(ERROR.INVALID_REQUEST, `Quota ${key} must be greater than 0`)
    }
    change.set(key, remove ? null : value)
  }
  if (validateOnly) return
  context.shared.quotas.set(entity, change)
  auditChange(context, 'AlterClientQuotas', JSON.stringify(entity))
}

function checkType(entityType: string): void {
  if (entityType === USER || entityType === CLIENT_ID) return
  throw new Refused(
    ERROR.UNSUPPORTED_VERSION,
    `quotas for '${entityType}' are not known, only for ${USER} and ${CLIENT_ID}`,
  )
}
