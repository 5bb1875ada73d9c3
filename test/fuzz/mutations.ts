/**
 * Each mutation spoils a session in one way. Its `codes` are the connection errors that the
 * mutated frame may earn by itself; what the rest of the session earns comes on top.
 */
import { FRAME } from '../../src/codec/amqp091/index.ts'
import { body, frame, header, method, raw, type Frame, type Piece } from './pieces.ts'
import { METHOD_IDS, type Draw } from './sessions.ts'

export interface Mutated {
  readonly pieces: readonly Piece[]
  readonly note: string
}

type Mutation = (pieces: readonly Piece[], draw: Draw) => readonly Piece[]

/** Puts `fresh` in place of the piece at `index`. */
function replaced(pieces: readonly Piece[], index: number, ...fresh: Piece[]): Piece[] {
  return pieces.toSpliced(index, 1, ...fresh)
}

/** Changes one frame, chosen among those that `fits`; without any, nothing. */
function onFrame(
  change: (frame: Frame, draw: Draw) => Piece | readonly Piece[],
  fits: (frame: Frame) => boolean = () => true,
): Mutation {
  return (pieces, draw) => {
    const places = pieces.flatMap((piece, index) => {
      return piece.kind === 'frame' && fits(piece) ? [index] : []
    })
    if (places.length === 0) return pieces
    const index = draw.one(places)
    const result = change(pieces[index] as Frame, draw)
    return replaced(
      pieces,
      index,
      ...(Array.isArray(result) ? (result as Piece[]) : [result as Piece]),
    )
  }
}

/** Puts a piece somewhere behind the handshake, mostly. */
function inserted(make: (draw: Draw) => Piece | readonly Piece[]): Mutation {
  return (pieces, draw) => {
    const from = draw.chance(80) ? Math.min(4, pieces.length) : 0
    const index = from + draw.below(pieces.length - from + 1)
    const fresh = make(draw)
    return pieces.toSpliced(
      index,
      0,
      ...(Array.isArray(fresh) ? (fresh as Piece[]) : [fresh as Piece]),
    )
  }
}

function withPayload(target: Frame, payload: Uint8Array): Frame {
  return { ...target, payload: Buffer.from(payload) }
}

/** A frame that still has what the mutation writes into. */
function isMethod({ type, payload }: Frame): boolean {
  return type === FRAME.METHOD && payload.length >= 4
}

function isHeader({ type, payload }: Frame): boolean {
  return type === FRAME.HEADER && payload.length >= 14
}

const CHANNELS = [0, 1, 2, 3, 4, 255, 256, 2047, 2048, 65_535]
const SIZES = [0, 1, 3, 4, 131_064, 131_065, 0x7fff_ffff, 0x8000_0000, 0xffff_fff7, 0xffff_ffff]
const BODY_SIZES = [0n, 1n, 3n, 2n ** 24n, 2n ** 24n + 1n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n]

/** A table inside a table, `depth` deep, as the octets of its content. */
function nestedTable(depth: number): Buffer {
  let content: Buffer = Buffer.alloc(0)
  for (let level = 0; level < depth; level++) {
    const head = Buffer.from([1, 0x61, 0x46, 0, 0, 0, 0])
    head.writeUInt32BE(content.length, 3)
    content = Buffer.concat([head, content])
  }
  return content
}

const HOSTILE_TABLES: readonly Buffer[] = [
  nestedTable(31),
  nestedTable(33),
  nestedTable(500),
  // An array that says it is longer than the table.
  Buffer.from([1, 0x61, 0x41, 0xff, 0xff, 0xff, 0xff]),
  Buffer.from([1, 0x61, 0x53, 0x7f, 0xff, 0xff, 0xff, 0x61]),
  // An unknown type, a key that is cut, a key of no octets, a value that is missing.
  Buffer.from([1, 0x61, 0x5a, 0]),
  Buffer.from([200, 0x61]),
  Buffer.from([0, 0x49, 0, 0, 0, 1]),
  Buffer.from([1, 0x61]),
  // The same key twice, and a key that is no UTF-8.
  Buffer.from([1, 0x61, 0x74, 1, 1, 0x61, 0x74, 0]),
  Buffer.from([2, 0xff, 0xfe, 0x74, 1]),
  // Very many values of one octet.
  Buffer.concat(Array.from({ length: 20_000 }, () => Buffer.from([1, 0x61, 0x56]))),
  Buffer.concat([Buffer.from([1, 0x61, 0x41, 0, 0, 0xc3, 0x50]), Buffer.alloc(50_000, 0x56)]),
]

function withTable(content: Buffer): Buffer {
  const size = Buffer.alloc(4)
  size.writeUInt32BE(content.length, 0)
  return Buffer.concat([size, content])
}

const NAMES: readonly Buffer[] = [
  Buffer.alloc(255, 'n'),
  Buffer.from([0xff, 0xfe, 0xfd]),
  Buffer.from([0xc3]),
  Buffer.from('a\0b'),
  Buffer.from('a\r\nb'),
  Buffer.from('\u2028💥'),
  Buffer.from('amq.'),
  Buffer.from('../../etc/passwd'),
  Buffer.from('%2F%00'),
]

function shortString(name: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([name.length]), name])
}

/** queue.declare and its like with a name no honest client has. */
function oddName(draw: Draw): Frame {
  const name = shortString(draw.one(NAMES))
  const bits = Buffer.from([draw.one([0, 0b100, 0b1010, 1])])
  const ticket = Buffer.alloc(2)
  const none = withTable(Buffer.alloc(0))
  const key = shortString(draw.one(NAMES))
  const make = (id: number, ...parts: Buffer[]): Frame => {
    const head = Buffer.alloc(4)
    head.writeUInt32BE(id, 0)
    return frame(FRAME.METHOD, 1, Buffer.concat([head, ...parts]), `odd name ${id.toString(16)}`)
  }
  switch (draw.below(5)) {
    case 0:
      return make(0x0032_000a, ticket, name, bits, none)
    case 1:
      return make(0x0028_000a, ticket, name, shortString(Buffer.from('topic')), bits, none)
    case 2:
      return make(0x0032_0014, ticket, name, shortString(Buffer.from('amq.topic')), key, bits, none)
    case 3:
      return make(0x003c_0014, ticket, name, key, bits, none)
    default:
      return make(0x003c_0028, ticket, shortString(Buffer.alloc(0)), name, bits)
  }
}

const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'as it is': (pieces) => pieces,
  'wrong frame end': onFrame((one, draw) => ({ ...one, end: draw.one([0, 0xcd, 0xff]) })),
  'wrong size': onFrame((one, draw) => {
    const near = one.payload.length + draw.one([-1, 1, 8, -4])
    return { ...one, size: draw.chance(50) ? Math.max(0, near) : draw.one(SIZES) }
  }),
  'wrong type': onFrame((one, draw) => ({
    ...one,
    type: draw.one([0, 1, 2, 3, 4, 5, 8, 65, 255]),
  })),
  'wrong channel': onFrame((one, draw) => ({ ...one, channel: draw.one(CHANNELS) })),
  'wrong method': onFrame((one, draw) => {
    const payload = Buffer.from(one.payload)
    payload.writeUInt32BE(draw.one(METHOD_IDS), 0)
    return withPayload(one, payload)
  }, isMethod),
  'cut payload': onFrame((one, draw) => {
    return withPayload(one, one.payload.subarray(0, draw.below(one.payload.length + 1)))
  }),
  'long payload': onFrame((one, draw) => {
    return withPayload(one, Buffer.concat([one.payload, draw.random.bytes(1 + draw.below(300))]))
  }),
  'flipped octets': onFrame((one, draw) => {
    const payload = Buffer.from(one.payload)
    for (let count = 1 + draw.below(3); count > 0 && payload.length > 0; count--) {
      const at = draw.below(payload.length)
      payload[at] = draw.chance(50) ? draw.below(256) : payload[at]! ^ (1 << draw.below(8))
    }
    return withPayload(one, payload)
  }),
  'random payload': onFrame((one, draw) => withPayload(one, draw.random.bytes(draw.below(300)))),
  dropped: onFrame(() => []),
  doubled: onFrame((one) => [one, one]),
  swapped: (pieces, draw) => {
    const one = draw.below(pieces.length)
    const other = draw.below(pieces.length)
    return pieces.with(one, pieces[other]!).with(other, pieces[one]!)
  },
  'moved to another channel': onFrame((one, draw) => ({ ...one, channel: 1 + draw.below(3) })),
  'wrong body size': onFrame((one, draw) => {
    const payload = Buffer.from(one.payload)
    payload.writeBigUInt64BE(draw.one(BODY_SIZES), 4)
    return withPayload(one, payload)
  }, isHeader),
  'wrong property flags': onFrame((one, draw) => {
    const payload = Buffer.from(one.payload)
    payload.writeUInt16BE(draw.one([0xffff, 1, 3, 0x8000, 0x2000, 0x0004]), 12)
    return withPayload(one, payload)
  }, isHeader),
  'hostile header table': (pieces, draw) => {
    const content = draw.one(HOSTILE_TABLES)
    const one = header(1, 0)
    one.payload.writeUInt16BE(0x2000, 12)
    const payload = Buffer.concat([one.payload, withTable(content)])
    const publish = method(1, { name: 'basic.publish', exchange: '', routingKey: 'fuzz.q0' })
    return [...pieces, publish, withPayload(one, payload)]
  },
  'hostile argument table': (pieces, draw) => {
    const head = Buffer.from('0032000a000007667a7a2e68743102', 'hex')
    const payload = Buffer.concat([head, withTable(draw.one(HOSTILE_TABLES))])
    return [...pieces, frame(FRAME.METHOD, 1, payload, 'queue.declare with a hostile table')]
  },
  'hostile client properties': (pieces, draw) => {
    const tail = Buffer.concat([
      shortString(Buffer.from('PLAIN')),
      Buffer.from('0000000c006775657374006775657374', 'hex'),
      shortString(Buffer.from('en_US')),
    ])
    const table = withTable(draw.one(HOSTILE_TABLES).subarray(0, 7000))
    const payload = Buffer.concat([Buffer.from('000a000b', 'hex'), table, tail])
    return pieces.map((piece) => {
      return piece.label === 'connection.start-ok' ? withPayload(piece as Frame, payload) : piece
    })
  },
  'odd name': inserted(oddName),
  'stray header': inserted((draw) => header(1 + draw.below(3), draw.one(BODY_SIZES))),
  'stray body': inserted((draw) => body(1 + draw.below(3), draw.random.bytes(draw.below(50)))),
  'empty frame': inserted((draw) => {
    return frame(draw.one([1, 2, 3, 8]), draw.below(3), Buffer.alloc(0), 'empty')
  }),
  'odd heartbeat': inserted((draw) => {
    return frame(FRAME.HEARTBEAT, draw.below(2), Buffer.alloc(draw.below(3)), 'heartbeat')
  }),
  'protocol header again': inserted(() => raw('protocol header', Buffer.from('AMQP\0\0\x09\x01'))),
  'another protocol': (pieces, draw) => {
    const headers = [
      'AMQP\0\x01\0\0',
      'AMQP\x03\x01\0\0',
      'GET / HTTP/1.1\r\n\r\n',
      '\x10\x10\0\x04',
    ]
    return replaced(pieces, 0, raw('another protocol', Buffer.from(draw.one(headers), 'latin1')))
  },
  'random octets': inserted((draw) => raw('random', draw.random.bytes(1 + draw.below(100)))),
  'method of a server': inserted((draw) => {
    const id = draw.one(METHOD_IDS)
    const payload = Buffer.alloc(4 + draw.below(20))
    payload.writeUInt32BE(id, 0)
    return frame(FRAME.METHOD, draw.below(3), payload, `method ${id.toString(16)}`)
  }),
  'too large a frame': inserted((draw) => {
    return body(draw.below(3), Buffer.alloc(draw.one([131_065, 200_000])))
  }),
  'open twice': inserted((draw) => method(1 + draw.below(3), { name: 'channel.open' })),
  'close and go on': inserted((draw) => [
    method(1, { name: 'channel.close', replyCode: 0, replyText: '', classId: 0, methodId: 0 }),
    method(draw.below(2), { name: 'queue.declare', queue: 'fuzz.q0' }),
  ]),
  'close the connection and go on': inserted(() => {
    return method(0, {
      name: 'connection.close',
      replyCode: 0,
      replyText: '',
      classId: 0,
      methodId: 0,
    })
  }),
  'odd tune': (pieces, draw) => {
    const odd = method(0, {
      name: 'connection.tune-ok',
      channelMax: draw.one([0, 1, 2, 65_535]),
      frameMax: draw.one([0, 1, 4095, 4096, 131_072, 131_073, 0xffff_ffff]),
      heartbeat: draw.one([0, 1, 65_535]),
    })
    return pieces.map((piece) => (piece.label === 'connection.tune-ok' ? odd : piece))
  },
  'wrong login': (pieces, draw) => {
    const odd = method(0, {
      name: 'connection.start-ok',
      clientProperties: new Map([
        ['capabilities', new Map([['authentication_failure_close', draw.chance(70)]])],
      ]),
      mechanism: draw.one(['PLAIN', 'AMQPLAIN', 'EXTERNAL', 'ANONYMOUS', '', 'X'.repeat(255)]),
      response: draw.one([
        '',
        '\0',
        'guest',
        '\0guest\0wrong',
        '\0\0\0\0\0',
        `\0${'u'.repeat(5000)}\0x`,
        Buffer.from('054c4f47494e53ffffffff', 'hex'),
        Buffer.from([0xff, 0xff]),
      ]),
      locale: '',
    })
    return pieces.map((piece) => (piece.label === 'connection.start-ok' ? odd : piece))
  },
  'odd virtual host': (pieces, draw) => {
    const odd = method(0, {
      name: 'connection.open',
      virtualHost: draw.one(['', 'nowhere', 'v'.repeat(255), '/\0', '../x']),
    })
    return pieces.map((piece) => (piece.label === 'connection.open' ? odd : piece))
  },
  'cut short': (pieces, draw) => pieces.slice(0, draw.below(pieces.length + 1)),
}

const MUTATION_NAMES: readonly string[] = Object.keys(MUTATIONS)

/** The session after one or, at times, two mutations. */
export function mutate(pieces: readonly Piece[], draw: Draw): Mutated {
  const first = draw.one(MUTATION_NAMES)
  const once = MUTATIONS[first]!(pieces, draw)
  if (draw.chance(80) || once.length === 0) return { pieces: once, note: first }
  const second = draw.one(MUTATION_NAMES)
  return { pieces: MUTATIONS[second]!(once, draw), note: `${first}, ${second}` }
}
