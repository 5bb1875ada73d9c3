import type { Channel } from 'amqplib'

/**
 * Charges orders. When the bank fails, the queue gives the order out again after 1, 2, 4 and 8
 * minutes; an order that failed five times goes to `orders.failed`.
 */
export async function startWorker(
  channel: Channel,
  charge: (order: string) => Promise<void>,
): Promise<void> {
  await channel.assertQueue('orders.failed')
  await channel.assertQueue('orders', {
    deadLetterExchange: '',
    deadLetterRoutingKey: 'orders.failed',
    arguments: { 'x-retry-delay': 60_000, 'x-retry-backoff': 'exponential', 'x-retry-limit': 4 },
  })
  await channel.consume('orders', (message) => {
    if (message === null) return
    charge(message.content.toString()).then(
      () => channel.ack(message),
      () => channel.nack(message),
    )
  })
}
