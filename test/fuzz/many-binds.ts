import amqplib, { type Channel, type ChannelModel, type Message } from 'amqplib'

/** The number of `queue.bind`: its class and its method. */
const QUEUE_BIND = (50 << 16) | 20
/** Binds until one with an answer, which so says that all before it are stored. */
const SILENT_MAX = 2000

/** A binding of queue `bound.N` as this load makes it. */
interface MadeBinding {
  readonly queue: string
  readonly exchange: string
  readonly routingKey: string
  readonly arguments: Readonly<Record<string, string>>
}

/** What amqplib sends its methods by; its channels send one at a time only. */
interface MethodSender {
  readonly ch: number
  readonly connection: {
    sendMethod(channel: number, method: number, fields: object): boolean
  }
}

const HEADERS_EXCHANGES = 5
export const QUEUES = 1000

/** Of twenty, eleven lead by key, eight by pattern, one by headers. */
function madeBinding(index: number): MadeBinding {
  const queue = `bound.${(index * 7919) % QUEUES}`
  const kind = index % 20
  const key = index.toString(36)
  if (kind === 0) {
    const exchange = `many.headers.${(index / 20) % HEADERS_EXCHANGES}`
    const args = { 'x-match': 'all', customer: `c-${key}`, kind: 'order' }
    return { queue, exchange, routingKey: '', arguments: args }
  }
  if (kind <= 8) {
    const routingKey = `shop.${index % 97}.order.${key}${kind % 2 === 0 ? '.#' : '.*.paid'}`
    return { queue, exchange: 'many.topic', routingKey, arguments: {} }
  }
  return { queue, exchange: 'many.direct', routingKey: `order.${key}`, arguments: {} }
}

/** An address that leads to the queue of that binding, and perhaps to more. */
function addressOf({ exchange, routingKey, arguments: headers }: MadeBinding): {
  readonly exchange: string
  readonly routingKey: string
  readonly headers: Readonly<Record<string, string>>
} {
  const key = routingKey.replace('*', 'any').replace(/\.#$/, '.new.unpaid')
  const { 'x-match': _match, ...sent } = headers
  return { exchange, routingKey: key, headers: sent }
}

export async function openClient(url: string): Promise<ChannelModel> {
  // Its timers would outlive the socket by minutes.
  return amqplib.connect(`${url}?heartbeat=0`)
}

export async function declareEnds(client: ChannelModel): Promise<void> {
  const channel = await client.createChannel()
  await channel.assertExchange('many.direct', 'direct')
  await channel.assertExchange('many.topic', 'topic')
  for (let n = 0; n < HEADERS_EXCHANGES; n++) {
    await channel.assertExchange(`many.headers.${n}`, 'headers')
  }
  await channel.close()
  await eachQueue(client, async (some, queue) => some.assertQueue(queue))
}

export async function deleteQueues(client: ChannelModel): Promise<void> {
  await eachQueue(client, async (channel, queue) => channel.deleteQueue(queue))
}

/** Some at a time: a channel waits for each answer. */
async function eachQueue(
  client: ChannelModel,
  act: (channel: Channel, queue: string) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const actOnSome = async (): Promise<void> => {
    const channel = await client.createChannel()
    while (next < QUEUES) await act(channel, `bound.${next++}`)
    await channel.close()
  }
  await Promise.all(Array.from({ length: 20 }, actOnSome))
}

/** Makes the bindings from `from` up to, not including, `to`, without waiting for each. */
export async function bindMany(
  client: ChannelModel,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<void> {
  const channel = await client.createChannel()
  const sender = channel as unknown as MethodSender
  for (let index = from; index < to; index++) {
    const { queue, exchange, routingKey, arguments: args } = madeBinding(index)
    const isLast = index === to - 1 || (index - from) % SILENT_MAX === SILENT_MAX - 1
    if (isLast) await channel.bindQueue(queue, exchange, routingKey, args)
    else {
      const fields = { ticket: 0, queue, exchange, routingKey, nowait: true, arguments: args }
      sender.connection.sendMethod(sender.ch, QUEUE_BIND, fields)
    }
  }
  await channel.close()
}

/** Publishes to the address of each and finds the message in its queue. */
export async function checkRoutes(
  client: ChannelModel,
  indexes: readonly number[],
): Promise<string[]> {
  const channel = await client.createConfirmChannel()
  const faults: string[] = []
  for (const index of indexes) {
    const binding = madeBinding(index)
    const { exchange, routingKey, headers } = addressOf(binding)
    channel.publish(exchange, routingKey, Buffer.from(String(index)), { headers, persistent: true })
    await channel.waitForConfirms()
    const got = await takeOne(channel, binding.queue)
    if (got !== String(index)) faults.push(`${JSON.stringify(binding)} led to ${got}`)
  }
  await channel.close()
  return faults
}

async function takeOne(channel: Channel, queue: string): Promise<string> {
  const message: Message | false = await channel.get(queue, { noAck: true })
  return message === false ? 'nothing' : message.content.toString()
}
