/** Configuration, ACLs and quotas on the wire; real administration clients are in test/interop. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { startBroker } from '../../../src/server/index.ts'
import { type Answer, KafkaPeer } from '../../support/kafka-peer.ts'

const NONE = 0
const TOPIC_AUTHORIZATION_FAILED = 29
const CLUSTER_AUTHORIZATION_FAILED = 31
const INVALID_CONFIG = 40
const INVALID_REQUEST = 42

const TOPIC = 2
const BROKER = 4
const GROUP = 32
const OPERATION = { SET: 0, DELETE: 1, APPEND: 2, SUBTRACT: 3 } as const

interface World {
  /** Connected as guest, who administers. */
  readonly admin: KafkaPeer
  readonly login: (user: string) => Promise<KafkaPeer>
}

async function open(t: TestContext): Promise<World> {
  const broker = await startBroker({ listen: { amqp: false, kafka: 0, http: 0 } })
  t.after(() => broker.close())
  const connect = async (): Promise<KafkaPeer> => {
    const peer = await KafkaPeer.connect(broker.port('kafka'), 'client-1')
    t.after(() => peer.close())
    return peer
  }
  const answer = await fetch(`http://127.0.0.1:${broker.port('http')}/v1/users/alice`, {
    method: 'PUT',
    headers: {
      authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ password: 'secret' }),
  })
  assert.equal(answer.status, 201)
  return {
    admin: await connect(),
    login: async (user) => {
      const peer = await connect()
      const shaken = await peer.call('SaslHandshake', 1, { mechanism: 'PLAIN' })
      assert.equal(shaken.errorCode, NONE)
      const authBytes = Buffer.from(`\0${user}\0secret`)
      const done = await peer.call('SaslAuthenticate', 2, { authBytes })
      assert.equal(done.errorCode, NONE, done.errorMessage ?? '')
      return peer
    },
  }
}

async function createTopic(
  peer: KafkaPeer,
  name: string,
  configs: readonly { readonly name: string; readonly value: string }[] = [],
): Promise<Answer<'CreateTopics'>['topics'][number]> {
  const topics = [{ name, numPartitions: 1, replicationFactor: -1, assignments: [], configs }]
  const answer = await peer.call('CreateTopics', 6, { topics, timeoutMs: 1000 })
  return answer.topics[0]!
}

async function describe(
  peer: KafkaPeer,
  resourceType: number,
  resourceName: string,
): Promise<Map<string, Answer<'DescribeConfigs'>['results'][number]['configs'][number]>> {
  const resources = [{ resourceType, resourceName, configurationKeys: null }]
  const asked = { resources, includeSynonyms: true, includeDocumentation: true }
  const { results } = await peer.call('DescribeConfigs', 4, asked)
  assert.equal(results[0]!.errorCode, NONE, results[0]!.errorMessage ?? '')
  return new Map(results[0]!.configs.map((config) => [config.name, config]))
}

interface ConfigChange {
  readonly name: string
  readonly configOperation: number
  readonly value: string | null
}

async function alter(
  peer: KafkaPeer,
  [resourceType, resourceName]: readonly [type: number, name: string],
  configs: readonly ConfigChange[],
): Promise<Answer<'IncrementalAlterConfigs'>['responses'][number]> {
  const resources = [{ resourceType, resourceName, configs }]
  const asked = { resources, validateOnly: false }
  const { responses } = await peer.call('IncrementalAlterConfigs', 1, asked)
  return responses[0]!
}

test('the configuration of a topic is set, shown with its source, changed and taken back', async (t) => {
  const { admin } = await open(t)
  const given = [{ name: 'retention.ms', value: '60000' }]
  assert.equal((await createTopic(admin, 'orders', given)).errorCode, NONE)
  const before = await describe(admin, TOPIC, 'orders')
  assert.equal(before.get('retention.ms')!.value, '60000')
  assert.equal(before.get('retention.ms')!.configSource, 1)
  assert.deepEqual(
    before.get('retention.ms')!.synonyms.map(({ value }) => value),
    ['60000', '604800000'],
  )
  assert.equal(before.get('cleanup.policy')!.value, 'delete')
  assert.equal(before.get('cleanup.policy')!.configSource, 5)

  const changes = [
    { name: 'retention.ms', configOperation: OPERATION.DELETE, value: null },
    { name: 'cleanup.policy', configOperation: OPERATION.APPEND, value: 'compact' },
    { name: 'max.message.bytes', configOperation: OPERATION.SET, value: '2000' },
  ]
  assert.equal((await alter(admin, [TOPIC, 'orders'], changes)).errorCode, NONE)
  const after = await describe(admin, TOPIC, 'orders')
  assert.equal(after.get('retention.ms')!.value, '604800000')
  assert.equal(after.get('cleanup.policy')!.value, 'delete,compact')
  assert.equal(after.get('max.message.bytes')!.value, '2000')
})

test('a wrong configuration is refused in words, and nothing of it is taken', async (t) => {
  const { admin } = await open(t)
  const unknown = await createTopic(admin, 'orders', [{ name: 'retention.mss', value: '1' }])
  assert.equal(unknown.errorCode, INVALID_CONFIG)
  assert.equal(unknown.errorMessage, 'Unknown topic config name: retention.mss')
  assert.equal((await createTopic(admin, 'orders')).errorCode, NONE)
  const changes = [
    { name: 'retention.ms', configOperation: OPERATION.SET, value: '5' },
    { name: 'segment.bytes', configOperation: OPERATION.SET, value: 'many' },
  ]
  const refused = await alter(admin, [TOPIC, 'orders'], changes)
  assert.equal(refused.errorCode, INVALID_CONFIG)
  assert.match(refused.errorMessage!, /segment\.bytes/)
  assert.equal((await describe(admin, TOPIC, 'orders')).get('retention.ms')!.value, '604800000')
  const broker = await alter(admin, [BROKER, '0'], [changes[0]!])
  assert.equal(broker.errorCode, INVALID_REQUEST)
})

test('groups have a configuration of their own, and are listed when they have', async (t) => {
  const { admin } = await open(t)
  const reset = { name: 'share.auto.offset.reset', configOperation: OPERATION.SET }
  const set = [{ ...reset, value: 'earliest' }]
  assert.equal((await alter(admin, [GROUP, 'readers'], set)).errorCode, NONE)
  const configs = await describe(admin, GROUP, 'readers')
  assert.equal(configs.get('share.auto.offset.reset')!.value, 'earliest')
  assert.equal(configs.get('share.session.timeout.ms')!.value, '45000')
  const listed = await admin.call('ListConfigResources', 1, { resourceTypes: [GROUP] })
  assert.deepEqual(
    listed.configResources.map(({ resourceName }) => resourceName),
    ['readers'],
  )
})

// --- ACLs ---

const ANY = 1
const ALLOW = 3
const DENY = 2
const LITERAL = 3
const PREFIXED = 4
const READ = 3
const WRITE = 4
const CREATE = 5

function acl(operation: number, resourceName: string, resourcePatternType = LITERAL): object {
  return {
    resourceType: TOPIC,
    resourceName,
    resourcePatternType,
    principal: 'User:alice',
    host: '*',
    operation,
    permissionType: ALLOW,
  }
}

const EVERYTHING = {
  resourceTypeFilter: ANY,
  resourceNameFilter: null,
  patternTypeFilter: ANY,
  principalFilter: 'User:alice',
  hostFilter: null,
  operation: ANY,
  permissionType: ANY,
}

test('what ACLs grant and take away is what a user may do', async (t) => {
  const { admin, login } = await open(t)
  assert.equal((await createTopic(admin, 'orders')).errorCode, NONE)
  const creations = [acl(READ, 'orders'), acl(WRITE, 'orders'), acl(CREATE, 'mine-', PREFIXED)]
  const created = await admin.call('CreateAcls', 3, { creations })
  assert.deepEqual(
    created.results.map(({ errorCode }) => errorCode),
    [NONE, NONE, NONE],
  )
  const alice = await login('alice')
  assert.equal((await createTopic(alice, 'mine-1')).errorCode, NONE)
  assert.equal((await createTopic(alice, 'other')).errorCode, TOPIC_AUTHORIZATION_FAILED)
  assert.equal(await metadataError(alice, 'orders'), NONE)
  assert.equal(await metadataError(alice, 'secret'), TOPIC_AUTHORIZATION_FAILED)

  const described = await admin.call('DescribeAcls', 3, EVERYTHING)
  const texts = described.resources.flatMap(({ resourceType, resourceName, patternType, acls }) =>
    acls.map(({ operation }) => `${resourceType} ${resourceName} ${patternType} ${operation}`),
  )
  assert.ok(texts.includes(`${TOPIC} orders ${LITERAL} ${READ}`), texts.join(', '))
  assert.ok(texts.includes(`${TOPIC} mine- ${PREFIXED} ${CREATE}`), texts.join(', '))

  const filters = [{ ...EVERYTHING, resourceNameFilter: 'orders' }]
  const deleted = await admin.call('DeleteAcls', 3, { filters })
  assert.ok(deleted.filterResults[0]!.matchingAcls.length >= 2)
  assert.equal(await metadataError(alice, 'orders'), TOPIC_AUTHORIZATION_FAILED)
  assert.equal((await createTopic(alice, 'mine-2')).errorCode, NONE)
})

test('ACLs that permissions cannot express are refused, and so is whoever is no administrator', async (t) => {
  const { admin, login } = await open(t)
  const creations = [
    { ...acl(READ, 'a'), permissionType: DENY },
    { ...acl(READ, 'a'), host: '10.0.0.1' },
    { ...acl(READ, 'a'), principal: 'User:nobody' },
  ]
  const refused = await admin.call('CreateAcls', 3, { creations })
  assert.deepEqual(
    refused.results.map(({ errorCode }) => errorCode),
    [INVALID_REQUEST, INVALID_REQUEST, INVALID_REQUEST],
  )
  await admin.call('CreateAcls', 3, { creations: [acl(READ, 'a')] })
  const alice = await login('alice')
  const described = await alice.call('DescribeAcls', 3, EVERYTHING)
  assert.equal(described.errorCode, CLUSTER_AUTHORIZATION_FAILED)
})

async function metadataError(peer: KafkaPeer, name: string): Promise<number> {
  const asked = { topics: [{ name }], allowAutoTopicCreation: false }
  const { topics } = await peer.call('Metadata', 8, asked)
  return topics[0]!.errorCode
}

// --- quotas ---

test('a client over its quota is told for how long it must wait', async (t) => {
  const { admin } = await open(t)
  assert.equal((await createTopic(admin, 'orders')).errorCode, NONE)
  const entity = [{ entityType: 'client-id', entityName: 'client-1' }]
  const ops = [{ key: 'producer_byte_rate', value: 1000, remove: false }]
  const altered = await admin.call('AlterClientQuotas', 1, {
    entries: [{ entity, ops }],
    validateOnly: false,
  })
  assert.equal(altered.entries[0]!.errorCode, NONE)
  const component = { entityType: 'client-id', matchType: 0, match: 'client-1' }
  const asked = { components: [component], strict: true }
  const described = await admin.call('DescribeClientQuotas', 1, asked)
  assert.deepEqual(
    described.entries!.map(({ values }) => values.map(({ key, value }) => [key, value])),
    [[['producer_byte_rate', 1000]]],
  )
  // The bytes are no batch and are refused; they were sent all the same, and count.
  const records = Buffer.alloc(1500)
  const produce = {
    transactionalId: null,
    acks: 1,
    timeoutMs: 1000,
    topicData: [{ name: 'orders', partitionData: [{ index: 0, records }] }],
  }
  const answer = await admin.call('Produce', 9, produce)
  assert.ok(answer.throttleTimeMs > 0 && answer.throttleTimeMs <= 1000, `${answer.throttleTimeMs}`)
})
