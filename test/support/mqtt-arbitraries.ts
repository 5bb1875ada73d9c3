/** What a client may say in MQTT, as packets of the library mqtt-packet. */
import fc from 'fast-check'
import type { Packet } from 'mqtt-packet'

export type ClientVersion = 4 | 5

/** A packet of a client, and what only the writer of a test needs to know. */
export interface Said {
  readonly version: ClientVersion
  readonly packet: Packet
}

const ids = fc.integer({ min: 1, max: 65_535 })
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const)
const octets = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes))

// Without control characters, which names may not hold here.
const text = fc
  .string({ unit: 'grapheme', maxLength: 12 })
  // oxlint-disable-next-line no-control-regex
  .map((found) => found.replaceAll(/[\0-\u001f\u007f-\u009f]/g, ''))
const topics: fc.Arbitrary<string> = text.map((found) => found.replaceAll(/[+#]/g, '') || 'a/b')
const filters = fc.constantFrom('a', 'a/+', '#', '+/b/#', '$share/g/a/+', '$SYS/#', 'é/😀')

/** No names that a JavaScript object keeps elsewhere or in another order. */
const userProperties = fc
  .dictionary(fc.stringMatching(/^[a-z]{1,5}$/), text, { maxKeys: 3, noNullPrototype: true })
  .filter((found) => Object.keys(found).length > 0)

function some<T extends object>(shape: { [Key in keyof T]: fc.Arbitrary<T[Key]> }): fc.Arbitrary<
  Partial<T>
> {
  return fc.record(shape, { requiredKeys: [], noNullPrototype: true }) as fc.Arbitrary<Partial<T>>
}

const uint32 = fc.integer({ min: 0, max: 0xffff_ffff })
const messageProperties = {
  payloadFormatIndicator: fc.boolean(),
  messageExpiryInterval: uint32,
  contentType: text,
  responseTopic: topics,
  correlationData: octets(20),
  userProperties,
}

export const publishes: fc.Arbitrary<Packet> = fc
  .record({
    qos,
    retain: fc.boolean(),
    dup: fc.boolean(),
    topic: topics,
    payload: octets(200),
    messageId: ids,
    properties: some({ ...messageProperties, topicAlias: ids }),
  })
  .map((one) => ({ cmd: 'publish', ...one, dup: one.qos > 0 && one.dup }))

const wills = fc.record({
  topic: topics,
  payload: octets(40),
  qos,
  retain: fc.boolean(),
  properties: some({ ...messageProperties, willDelayInterval: uint32 }),
})

const connects: fc.Arbitrary<Packet> = fc
  .record({
    clientId: text.map((found) => found || 'c'),
    clean: fc.boolean(),
    keepalive: fc.integer({ min: 0, max: 65_535 }),
    will: fc.option(wills, { nil: undefined }),
    login: fc.option(fc.record({ username: text, password: octets(20) }), { nil: undefined }),
    properties: some({
      sessionExpiryInterval: uint32,
      receiveMaximum: ids,
      maximumPacketSize: fc.integer({ min: 1, max: 0xffff_ffff }),
      topicAliasMaximum: fc.integer({ min: 0, max: 65_535 }),
      requestResponseInformation: fc.boolean(),
      requestProblemInformation: fc.boolean(),
      userProperties,
    }),
  })
  .map(({ login, will, ...rest }) => ({
    cmd: 'connect',
    protocolId: 'MQTT',
    ...rest,
    ...login,
    ...(will === undefined ? {} : { will }),
  }))

const subscribes: fc.Arbitrary<Packet> = fc
  .record({
    messageId: ids,
    subscriptions: fc.array(
      fc.record({
        topic: filters,
        qos,
        nl: fc.boolean(),
        rap: fc.boolean(),
        rh: fc.constantFrom(0, 1, 2),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    properties: some({
      subscriptionIdentifier: fc.integer({ min: 1, max: 268_435_455 }),
      userProperties,
    }),
  })
  .map((one) => ({ cmd: 'subscribe', ...one }))

const unsubscribes: fc.Arbitrary<Packet> = fc
  .record({
    messageId: ids,
    unsubscriptions: fc.array(filters, { minLength: 1, maxLength: 4 }),
    properties: some({ userProperties }),
  })
  .map((one) => ({ cmd: 'unsubscribe', ...one }))

const acks: fc.Arbitrary<Packet> = fc
  .record({
    cmd: fc.constantFrom(
      'puback' as const,
      'pubrec' as const,
      'pubrel' as const,
      'pubcomp' as const,
    ),
    messageId: ids,
    isRefusal: fc.boolean(),
    properties: some({ reasonString: text, userProperties }),
  })
  .map(({ cmd, isRefusal, ...rest }) => {
    const refusal = cmd === 'pubrel' || cmd === 'pubcomp' ? 0x92 : 0x83
    return { cmd, reasonCode: isRefusal ? refusal : 0, ...rest }
  })

const ends: fc.Arbitrary<Packet> = fc.oneof(
  fc.constant<Packet>({ cmd: 'pingreq' }),
  fc
    .record({
      reasonCode: fc.constantFrom(0, 4, 0x80, 0x93),
      properties: some({ sessionExpiryInterval: uint32, reasonString: text, userProperties }),
    })
    .map((one): Packet => ({ cmd: 'disconnect', ...one })),
)

/** The packets of one connection, CONNECT first. */
export const conversations: fc.Arbitrary<readonly Said[]> = fc
  .tuple(
    fc.constantFrom(4 as const, 5 as const),
    connects,
    fc.array(fc.oneof(publishes, publishes, subscribes, unsubscribes, acks, ends), {
      maxLength: 8,
    }),
  )
  .map(([version, first, rest]) => {
    return [{ ...first, protocolVersion: version } as Packet, ...rest].map((packet) => {
      return { version, packet: version === 5 ? packet : withoutProperties(packet) }
    })
  })

/** MQTT 3.1.1 has no properties, reason codes and subscription options. */
function withoutProperties(packet: Packet): Packet {
  const bare = { ...packet } as Record<string, unknown>
  delete bare['properties']
  delete bare['reasonCode']
  if (packet.cmd === 'connect' && packet.will !== undefined) {
    const { properties: _properties, ...will } = packet.will
    bare['will'] = will
  }
  if (packet.cmd === 'subscribe') {
    bare['subscriptions'] = packet.subscriptions.map((one) => ({ topic: one.topic, qos: one.qos }))
  }
  return bare as unknown as Packet
}
