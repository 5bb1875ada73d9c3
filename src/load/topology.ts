import { Connection } from './connection.ts'
import type { Endpoint } from './raw-socket.ts'
import { METHOD, method, shortString, table, u16, u8 } from './wire.ts'

export interface Topology {
  readonly exchange: string
  readonly routingKeys: readonly string[]
  readonly queues: readonly string[]
}

export interface TopologyOptions {
  readonly queueCount: number
  /** All queues get every message through a fanout exchange. */
  readonly fanOut: boolean
  readonly queueArguments: Arguments
  /** Of a fanout exchange: what is published with, in turn. Default: the empty one. */
  readonly routingKeys?: readonly string[]
  /** What names of queues begin with. Default `bench`. */
  readonly prefix?: string
  /** More arguments for each queue, by the names of all. */
  readonly ownArguments?: (queues: readonly string[]) => readonly Arguments[]
}

type Arguments = Readonly<Record<string, string | number | true>>

const FAN_OUT_EXCHANGE = 'bench.fan-out'
const DURABLE = 2

/** Declares durable queues anew and empty, and a fanout exchange over them if asked. */
export async function declareTopology(
  endpoint: Endpoint,
  options: TopologyOptions,
): Promise<Topology> {
  const queues = Array.from({ length: options.queueCount }, (_, index) => {
    return queueName(options.prefix ?? 'bench', index)
  })
  const control = await Connection.open(endpoint)
  try {
    if (options.fanOut) {
      const declare = [u16(0), shortString(FAN_OUT_EXCHANGE), shortString('fanout')]
      await control.ask(method(1, METHOD.exchangeDeclare, ...declare, u8(DURABLE), table({})))
    }
    const own = options.ownArguments?.(queues) ?? []
    for (const [index, queue] of queues.entries()) {
      await control.ask(method(1, METHOD.queueDelete, u16(0), shortString(queue), u8(0)))
      const queueArguments = { ...options.queueArguments, ...own[index] }
      const args = [u16(0), shortString(queue), u8(DURABLE), table(queueArguments)]
      await control.ask(method(1, METHOD.queueDeclare, ...args))
      if (options.fanOut) {
        const bind = [u16(0), shortString(queue), shortString(FAN_OUT_EXCHANGE), shortString('')]
        await control.ask(method(1, METHOD.queueBind, ...bind, u8(0), table({})))
      }
    }
    await control.close()
  } finally {
    control.socket.destroy()
  }
  return options.fanOut
    ? { exchange: FAN_OUT_EXCHANGE, routingKeys: options.routingKeys ?? [''], queues }
    : { exchange: '', routingKeys: queues, queues }
}

/** Messages ready in the queues. */
export async function countReady(endpoint: Endpoint, queues: readonly string[]): Promise<number> {
  const control = await Connection.open(endpoint)
  let ready = 0
  for (const queue of queues) {
    const passive = 1
    const args = [u16(0), shortString(queue), u8(passive), table({})]
    const reply = await control.ask(method(1, METHOD.queueDeclare, ...args))
    ready += reply.readUInt32BE(5 + reply.readUInt8(4))
  }
  await control.close()
  return ready
}

export async function deleteTopology(endpoint: Endpoint, topology: Topology): Promise<void> {
  const control = await Connection.open(endpoint)
  for (const queue of topology.queues) {
    await control.ask(method(1, METHOD.queueDelete, u16(0), shortString(queue), u8(0)))
  }
  if (topology.exchange !== '') {
    const args = [u16(0), shortString(topology.exchange), u8(0)]
    await control.ask(method(1, METHOD.exchangeDelete, ...args))
  }
  await control.close()
}

/** All of one length, so that every ready-made message has one, too. */
function queueName(prefix: string, index: number): string {
  return `${prefix}.${String(index).padStart(4, '0')}`
}
