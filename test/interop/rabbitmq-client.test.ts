import { Connection, type AsyncMessage, type Channel, type SyncMessage } from 'rabbitmq-client'

import { REPLY, type ReplyName } from '../../src/codec/amqp091/index.ts'
import { nodeClientTests, type NodeSession, type Received } from './node-client.ts'

nodeClientTests({
  name: 'rabbitmq-client',
  open,
  replyCode: (error) => REPLY[(error as { code?: ReplyName }).code ?? 'SUCCESS'] ?? null,
  headers: {
    void: null,
    bool: true,
    int: -70_000,
    double: 2.5,
    string: 'naïve ✓',
    table: { inner: { deep: 'x' } },
    array: ['a', 1, true, null, { b: 'c' }],
  },
})

async function open(url: string): Promise<NodeSession> {
  const connection = new Connection({ url, retryLow: 100 })
  connection.on('error', () => {})
  const channel = await connection.acquire()
  await channel.confirmSelect()
  const returned: string[] = []
  channel.on('basic.return', (message) => returned.push(String(message.body)))
  return {
    returned,
    declareQueue: async (name, options) => {
      const ok = await channel.queueDeclare({ queue: name, ...options })
      return { name: ok.queue, count: ok.messageCount }
    },
    deleteQueue: async (name) => channel.queueDelete(name),
    purgeQueue: async (name) => channel.queuePurge(name),
    bindTopic: async (queue, exchange, routingKey) =>
      channel.queueBind({ queue, exchange, routingKey }),
    // A text body would replace content type and encoding by the client's own.
    publish: async ({ key, body, deliveryMode, ...envelope }) =>
      channel.basicPublish(
        { routingKey: key, durable: deliveryMode === 2, ...envelope },
        Buffer.from(body),
      ),
    get: async (queue) => {
      const message = await channel.basicGet({ queue })
      return message === undefined ? null : received(channel, message)
    },
    consume: async (queue, deliver) =>
      channel.basicConsume({ queue }, (message) => {
        deliver(received(channel, message))
      }),
    prefetch: async (prefetchCount) => channel.basicQos({ prefetchCount }),
    close: async () => {
      await channel.close()
      await connection.close()
    },
  }
}

function received(channel: Channel, message: AsyncMessage | SyncMessage): Received {
  const { deliveryTag, redelivered, headers, durable, ...properties } = message
  return {
    body: String(message.body),
    redelivered,
    headers: headers ?? {},
    properties: { ...properties, deliveryMode: durable === true ? 2 : 1 },
    ack: () => {
      channel.basicAck({ deliveryTag })
    },
    ackAll: () => {
      channel.basicAck({ deliveryTag, multiple: true })
    },
    nack: (requeue) => {
      channel.basicNack({ deliveryTag, requeue })
    },
  }
}
