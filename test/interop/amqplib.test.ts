import { connect, type Message } from 'amqplib'

import { nodeClientTests, type NodeSession, type Received } from './node-client.ts'

nodeClientTests({
  name: 'amqplib',
  open,
  replyCode: (error) => (error as { code?: number }).code ?? null,
  headers: {
    void: null,
    bool: true,
    byte: -5,
    short: -300,
    int: -70_000,
    long: 2 ** 40,
    double: 2.5,
    string: 'naïve ✓',
    bytes: Buffer.from([0, 255]),
    decimal: { '!': 'decimal', value: { places: 2, digits: 1234 } },
    time: { '!': 'timestamp', value: 1_700_000_000 },
    table: { inner: { deep: 'x' } },
    array: ['a', 1, true, null, { b: 'c' }],
  },
})

async function open(url: string): Promise<NodeSession> {
  const connection = await connect(url)
  const channel = await connection.createConfirmChannel()
  // The errors come by the rejected calls as well.
  for (const emitter of [connection, channel]) emitter.on('error', () => {})
  const returned: string[] = []
  channel.on('return', (message) => returned.push(message.content.toString()))
  const received = (message: Message): Received => ({
    body: message.content.toString(),
    redelivered: message.fields.redelivered,
    headers: message.properties.headers ?? {},
    properties: message.properties as unknown as Record<string, unknown>,
    ack: () => {
      channel.ack(message)
    },
    ackAll: () => {
      channel.ack(message, true)
    },
    nack: (requeue) => {
      channel.nack(message, false, requeue)
    },
  })
  return {
    returned,
    declareQueue: async (name, { passive, ...options }) => {
      const ok = await (passive ? channel.checkQueue(name) : channel.assertQueue(name, options))
      return { name: ok.queue, count: ok.messageCount }
    },
    deleteQueue: async (name) => channel.deleteQueue(name),
    purgeQueue: async (name) => channel.purgeQueue(name),
    bindTopic: async (queue, exchange, key) => channel.bindQueue(queue, exchange, key),
    publish: async ({ exchange, key, body, ...options }) =>
      new Promise<void>((resolve, reject) => {
        channel.publish(exchange, key, Buffer.from(body), options, (error: Error | null) => {
          if (error === null) resolve()
          else reject(error)
        })
      }),
    get: async (queue) => {
      const message = await channel.get(queue)
      return message === false ? null : received(message)
    },
    consume: async (queue, deliver) =>
      channel.consume(queue, (message) => {
        if (message !== null) deliver(received(message))
      }),
    prefetch: async (count) => channel.prefetch(count),
    close: async () => connection.close(),
  }
}
