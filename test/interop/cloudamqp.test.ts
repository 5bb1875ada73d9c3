import { AMQPClient, type AMQPMessage } from '@cloudamqp/amqp-client'

import { nodeClientTests, type NodeSession, type Received } from './node-client.ts'

nodeClientTests({
  name: '@cloudamqp/amqp-client',
  open,
  replyCode: (error) => {
    const code = /\((\d{3})\)$/.exec((error as Error).message)?.[1]
    return code === undefined ? null : Number(code)
  },
  headers: {
    void: null,
    bool: true,
    int: -70_000,
    long: 2 ** 40,
    double: 2.5,
    string: 'naïve ✓',
    time: new Date(1_700_000_000_000),
    table: { inner: { deep: 'x' } },
    array: ['a', 1, true, null, { b: 'c' }],
  },
})

async function open(url: string): Promise<NodeSession> {
  const connection = await new AMQPClient(url).connect()
  const channel = await connection.channel()
  await channel.confirmSelect()
  const returned: string[] = []
  channel.onReturn = (message) => returned.push(message.bodyString() ?? '')
  return {
    returned,
    declareQueue: async (name, { arguments: args, ...options }) => {
      const ok = await channel.queueDeclare(name, options, { ...args })
      return { name: ok.name, count: ok.messageCount }
    },
    deleteQueue: async (name) => channel.queueDelete(name),
    purgeQueue: async (name) => channel.queuePurge(name),
    bindTopic: async (queue, exchange, key) => channel.queueBind(queue, exchange, key),
    publish: async ({ exchange, key, body, mandatory, timestamp, headers, ...properties }) =>
      channel.basicPublish(
        exchange,
        key,
        body,
        {
          ...properties,
          ...(headers === undefined ? {} : { headers: headers as Record<string, object> }),
          ...(timestamp === undefined ? {} : { timestamp: new Date(timestamp * 1000) }),
        },
        mandatory,
      ),
    get: async (queue) => {
      const message = await channel.basicGet(queue, { noAck: false })
      return message === null ? null : received(message)
    },
    consume: async (queue, deliver) =>
      channel.basicConsume(queue, { noAck: false }, (message) => {
        deliver(received(message))
      }),
    prefetch: async (count) => channel.prefetch(count),
    close: async () => connection.close(),
  }
}

function received(message: AMQPMessage): Received {
  const { headers, timestamp, ...properties } = message.properties
  return {
    body: message.bodyString() ?? '',
    redelivered: message.redelivered,
    headers: headers ?? {},
    properties: {
      ...properties,
      timestamp: timestamp === undefined ? undefined : timestamp.getTime() / 1000,
    },
    ack: async () => message.ack(),
    ackAll: async () => message.ack(true),
    nack: async (requeue) => message.nack(requeue),
  }
}
