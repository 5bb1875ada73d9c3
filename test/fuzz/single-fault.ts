import { mutate, type Mutated } from './mutations.ts'
import { header, method } from './pieces.ts'
import { handshake, publish, randomRequest, type Draw, type SessionOptions } from './sessions.ts'

/**
 * A session in which one frame is spoilt, and nothing comes behind it that could be refused as
 * well: what it earns is the same each time, however its octets arrive.
 */
export function singleFault(draw: Draw, options: SessionOptions): Mutated {
  const prelude = [
    ...handshake(options),
    method(1, { name: 'channel.open' }),
    method(1, { name: 'exchange.declare', exchange: 'fuzz.x0', type: 'topic', autoDelete: true }),
    method(1, { name: 'queue.declare', queue: 'fuzz.q0', exclusive: true }),
    method(1, { name: 'queue.bind', queue: 'fuzz.q0', exchange: 'fuzz.x0', routingKey: '#' }),
    method(1, { name: 'basic.publish', exchange: 'fuzz.x0', routingKey: 'a' }),
    header(1, 0),
    method(1, { name: 'basic.get', queue: 'fuzz.q0' }),
  ]
  if (draw.chance(15)) return mutate(prelude.slice(0, 1 + draw.below(4)), draw)
  const request = draw.chance(30) ? publish(draw, 1) : [method(1, randomRequest(draw))]
  const { pieces, note } = mutate(request, draw)
  return { pieces: [...prelude, ...pieces], note }
}

/** The same octets with other names, as long as those before: nothing is shared between cases. */
export function withOwnNames(bytes: Buffer, number: number): Buffer {
  const own = `f${(number % 36 ** 3).toString(36).padStart(3, '0')}`
  return Buffer.from(bytes.toString('latin1').replaceAll('fuzz', own), 'latin1')
}
