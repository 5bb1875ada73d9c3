import { ERROR } from '../../../codec/kafka/index.ts'
import { isAdministrator } from '../acl-operations.ts'
import { brokerSettings } from '../broker-config.ts'
import type { ConfigTable } from '../config-spec.ts'
import { type Refusal, refusalOf, Refused } from '../errors.ts'
import { GROUP_CONFIG } from '../group-config.ts'
import { NODE_ID } from '../limits.ts'
import type { Handler, Request, RequestContext, Response } from '../request-context.ts'
import { stored } from '../stored.ts'
import { TOPIC_CONFIG, topicSettings } from '../topic-config.ts'
import { auditChange } from '../audit.ts'
import { couldUse, findTopic, mayUse, topicsOf } from '../topics.ts'

/** `ConfigResource.Type` */
const RESOURCE: {
  readonly TOPIC: 2
  readonly BROKER: 4
  readonly BROKER_LOGGER: 8
  readonly CLIENT_METRICS: 16
  readonly GROUP: 32
} = { TOPIC: 2, BROKER: 4, BROKER_LOGGER: 8, CLIENT_METRICS: 16, GROUP: 32 }

/** `Response<'DescribeConfigs'>.ConfigSource` */
const SOURCE: {
  readonly TOPIC: 1
  readonly STATIC_BROKER: 4
  readonly DEFAULT: 5
  readonly GROUP: 8
} = { TOPIC: 1, STATIC_BROKER: 4, DEFAULT: 5, GROUP: 8 }

/** `AlterConfigOp.OpType` */
const OPERATION: {
  readonly SET: 0
  readonly DELETE: 1
  readonly APPEND: 2
  readonly SUBTRACT: 3
} = { SET: 0, DELETE: 1, APPEND: 2, SUBTRACT: 3 }

type Asked = Request<'DescribeConfigs'>['resources'][number]
type Described = Response<'DescribeConfigs'>['results'][number]
type Setting = Described['configs'][number]

export const handleDescribeConfigs: Handler<'DescribeConfigs'> = (context, request, respond) => {
  const results = request.resources.map((asked): Described => {
    const { resourceType, resourceName, configurationKeys: keys } = asked
    try {
      const all = settingsOf(context, asked)
      const configs = all.filter(({ name }) => keys === null || keys.includes(name))
      return {
        errorCode: ERROR.NONE,
        resourceType,
        resourceName,
        configs: configs.map((setting) => ({
          ...setting,
          synonyms: request.includeSynonyms ? (setting.synonyms ?? []) : [],
          documentation: request.includeDocumentation ? (setting.documentation ?? null) : null,
        })),
      }
    } catch (error) {
      return { ...refusalOf(error), resourceType, resourceName, configs: [] }
    }
  })
  respond({ results })
}

function settingsOf(context: RequestContext, { resourceType, resourceName }: Asked): Setting[] {
  const { vhost, shared } = context
  if (resourceType === RESOURCE.TOPIC) {
    const config = requireTopic(context, resourceName, 'read').spec.arguments
    return tableSettings(TOPIC_CONFIG, config, SOURCE.TOPIC)
  }
  if (resourceType === RESOURCE.GROUP) {
    if (!mayUse(context, resourceName, 'read')) throw groupRefused(resourceName)
    const config = shared.groupConfigs.of(vhost, resourceName)
    return tableSettings(GROUP_CONFIG, config, SOURCE.GROUP)
  }
  if (resourceType === RESOURCE.BROKER) {
    if (resourceName !== '' && resourceName !== String(NODE_ID)) throw otherNode(resourceName)
    return brokerSettings(shared.limits).map(({ name, value, type }) => ({
      name,
      value,
      readOnly: true,
      isDefault: false,
      configSource: SOURCE.STATIC_BROKER,
      isSensitive: false,
      configType: type,
      synonyms: [{ name, value, source: SOURCE.STATIC_BROKER }],
    }))
  }
  if (resourceType === RESOURCE.BROKER_LOGGER || resourceType === RESOURCE.CLIENT_METRICS) return []
  throw new Refused(ERROR.INVALID_REQUEST, `Unsupported resource type: ${resourceType}`)
}

function tableSettings(
  table: ConfigTable,
  config: ReadonlyMap<string, unknown>,
  source: number,
): Setting[] {
  return table.specs.map(({ name, type, defaultValue, documentation }) => {
    const value = table.value(config, name)
    const isSet = config.has(name)
    const byDefault = { name, value: defaultValue, source: SOURCE.DEFAULT }
    return {
      name,
      value,
      readOnly: false,
      isDefault: !isSet,
      configSource: isSet ? source : SOURCE.DEFAULT,
      isSensitive: false,
      configType: type,
      documentation,
      synonyms: isSet ? [{ name, value, source }, byDefault] : [byDefault],
    }
  })
}

// --- changes ---

interface Change {
  readonly name: string
  readonly operation: number
  readonly value: string | null
}

interface ResourceChange {
  readonly resourceType: number
  readonly resourceName: string
  readonly changes: readonly Change[]
  /** What is not named goes back to its default: the older of the two requests. */
  readonly replaces: boolean
}

export const handleIncrementalAlterConfigs: Handler<'IncrementalAlterConfigs'> = (
  context,
  { resources, validateOnly },
  respond,
) => {
  const changes = resources.map(({ resourceType, resourceName, configs }) => ({
    resourceType,
    resourceName,
    replaces: false,
    changes: configs.map(({ name, configOperation, value }) => ({
      name,
      operation: configOperation,
      value,
    })),
  }))
  alterAll(context, { changes, validateOnly, respond })
}

export const handleAlterConfigs: Handler<'AlterConfigs'> = (
  context,
  { resources, validateOnly },
  respond,
) => {
  const changes = resources.map(({ resourceType, resourceName, configs }) => ({
    resourceType,
    resourceName,
    replaces: true,
    changes: configs.map(({ name, value }) => ({ name, operation: OPERATION.SET, value })),
  }))
  alterAll(context, { changes, validateOnly, respond })
}

interface Altered extends Partial<Refusal> {
  readonly resourceType: number
  readonly resourceName: string
}

function alterAll(
  context: RequestContext,
  {
    changes,
    validateOnly,
    respond,
  }: {
    readonly changes: readonly ResourceChange[]
    readonly validateOnly: boolean
    readonly respond: (response: { readonly responses: Altered[] }) => void
  },
): void {
  const work = changes.map(async (change): Promise<Altered> => {
    const { resourceType, resourceName } = change
    try {
      await alterOne(context, change, validateOnly)
      return { resourceType, resourceName, errorCode: ERROR.NONE }
    } catch (error) {
      return { resourceType, resourceName, ...refusalOf(error) }
    }
  })
  void Promise.all(work).then((responses) => respond({ responses }))
}

async function alterOne(
  context: RequestContext,
  change: ResourceChange,
  validateOnly: boolean,
): Promise<void> {
  const { vhost, shared } = context
  const { resourceType, resourceName } = change
  if (resourceType === RESOURCE.TOPIC) {
    const topic = requireTopic(context, resourceName, 'configure')
    const config = changed(TOPIC_CONFIG, topic.spec.arguments, change)
    if (!validateOnly) {
      await vhost.adopt(topic, {
        ...topic.spec,
        arguments: config,
        settings: topicSettings(config),
      })
      auditChange(context, 'AlterConfigs', `topic '${resourceName}'`)
    }
    return
  }
  if (resourceType === RESOURCE.GROUP) {
    if (!mayUse(context, resourceName, 'configure')) throw groupRefused(resourceName)
    const config = changed(GROUP_CONFIG, shared.groupConfigs.of(vhost, resourceName), change)
    if (validateOnly) return
    shared.groupConfigs.set(vhost, resourceName, config)
    auditChange(context, 'AlterConfigs', `group '${resourceName}'`)
    await stored(shared.broker)
    return
  }
  if (!isAdministrator(context)) {
    throw new Refused(ERROR.CLUSTER_AUTHORIZATION_FAILED, 'Cluster authorization failed.')
  }
  throw new Refused(
    ERROR.INVALID_REQUEST,
    'the broker is configured by its own file, environment and flags, and not by this request',
  )
}

/** The map after a change; what is no setting of the table stays as it is. */
function changed(
  table: ConfigTable,
  before: ReadonlyMap<string, unknown>,
  { changes, replaces }: ResourceChange,
): Map<string, string> {
  const config = replaces ? new Map<string, string>() : table.set(before)
  for (const { name, operation, value } of changes) {
    if (operation === OPERATION.DELETE) {
      if (!table.has(name)) throw new Refused(ERROR.INVALID_CONFIG, table.fault(name, '')!)
      config.delete(name)
      continue
    }
    const next =
      operation === OPERATION.SET ? value : edited(table, config, { name, operation, value })
    const fault = table.fault(name, next)
    if (fault !== null) throw new Refused(ERROR.INVALID_CONFIG, fault)
    config.set(name, next!)
  }
  return config
}

function edited(
  table: ConfigTable,
  config: ReadonlyMap<string, string>,
  { name, operation, value }: Change,
): string {
  if (!table.has(name)) throw new Refused(ERROR.INVALID_CONFIG, table.fault(name, '')!)
  if (!table.isList(name) || value === null) {
    throw new Refused(
      ERROR.INVALID_CONFIG,
      `Config value append is not allowed for config key: ${name}`,
    )
  }
  const parts = table.list(config, name)
  const given = value.split(',').map((part) => part.trim())
  if (operation === OPERATION.SUBTRACT) {
    return parts.filter((part) => !given.includes(part)).join(',')
  }
  return [...new Set([...parts, ...given])].join(',')
}

// --- what there is ---

export const handleListConfigResources: Handler<'ListConfigResources'> = (
  context,
  { resourceTypes },
  respond,
) => {
  const { vhost, shared } = context
  const wants = (type: number): boolean =>
    resourceTypes.length === 0 || resourceTypes.includes(type)
  const configResources: { resourceName: string; resourceType: number }[] = []
  const add = (resourceType: number, resourceName: string): void => {
    configResources.push({ resourceName, resourceType })
  }
  if (context.apiVersion > 0) {
    if (wants(RESOURCE.TOPIC)) {
      for (const { name } of topicsOf(vhost)) {
        if (couldUse(context, name, 'read')) add(RESOURCE.TOPIC, name)
      }
    }
    if (wants(RESOURCE.BROKER)) add(RESOURCE.BROKER, String(NODE_ID))
    if (wants(RESOURCE.GROUP)) {
      for (const group of shared.groupConfigs.groups(vhost)) add(RESOURCE.GROUP, group)
    }
  }
  respond({ configResources })
}

function requireTopic(context: RequestContext, name: string, kind: 'read' | 'configure') {
  if (!mayUse(context, name, kind)) {
    throw new Refused(ERROR.TOPIC_AUTHORIZATION_FAILED, 'Topic authorization failed.')
  }
  const topic = findTopic(context.vhost, name)
  if (topic === null) {
    throw new Refused(
      ERROR.UNKNOWN_TOPIC_OR_PARTITION,
      'This server does not host this topic-partition.',
    )
  }
  return topic
}

function groupRefused(group: string): Refused {
  return new Refused(ERROR.GROUP_AUTHORIZATION_FAILED, `Group '${group}' authorization failed.`)
}

function otherNode(name: string): Refused {
  return new Refused(
    ERROR.INVALID_REQUEST,
    `Unexpected broker id, expected ${NODE_ID} or empty string, but received ${name}`,
  )
}
