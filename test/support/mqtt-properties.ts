/** Properties of MQTT 5 by the fact table in spec/mqtt, apart from the broker's codec. */
import { readFileSync } from 'node:fs'
import { text, uint16, uint32, varint } from './mqtt-octets.ts'

export interface PropertyRow {
  readonly id: number
  readonly name: string
  readonly type: 'byte' | 'uint16' | 'uint32' | 'varint' | 'utf8' | 'binary' | 'utf8-pair'
  readonly packets: readonly string[]
  readonly max?: number
  readonly repeatable: boolean
}

export interface ReasonRow {
  readonly code: number
  readonly packets: readonly string[]
}

interface Tables {
  readonly properties: readonly PropertyRow[]
  readonly reasonCodes: readonly ReasonRow[]
}

const FILE = new URL('../../spec/mqtt/mqtt-tables.json', import.meta.url)

/** The facts themselves. */
export const MQTT_TABLES: Tables = JSON.parse(readFileSync(FILE, 'utf8')) as Tables

export type PropertyValue = number | string | Buffer | readonly [string, string]

/** In the order of the wire; a name may stand several times. */
export type PropertyList = readonly (readonly [name: string, value: PropertyValue])[]

const BY_NAME = new Map(MQTT_TABLES.properties.map((row) => [row.name, row]))
const BY_ID = new Map(MQTT_TABLES.properties.map((row) => [row.id, row]))

/** Behind their length, as every packet has them. */
export function propertyBytes(list: PropertyList): Buffer {
  const octets = Buffer.concat(list.map(([name, value]) => oneProperty(name, value)))
  return Buffer.concat([varint(octets.length), octets])
}

function oneProperty(name: string, value: PropertyValue): Buffer {
  const row = BY_NAME.get(name)
  if (row === undefined) throw new Error(`no property is called ${name}`)
  return Buffer.concat([Buffer.of(row.id), valueBytes(row.type, value)])
}

function valueBytes(type: PropertyRow['type'], value: PropertyValue): Buffer {
  switch (type) {
    case 'utf8-pair':
      return Buffer.concat((value as readonly string[]).map((half) => text(half)))
    case 'utf8':
    case 'binary':
      return text(value as string | Buffer)
    case 'varint':
      return varint(value as number)
    case 'byte':
      return Buffer.of(value as number)
    default:
      return type === 'uint16' ? uint16(value as number) : uint32(value as number)
  }
}

/** Reads fields one behind the other. */
export class Fields {
  readonly #bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.at
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.at++)
  }

  uint16(): number {
    this.at += 2
    return this.#bytes.readUInt16BE(this.at - 2)
  }

  uint32(): number {
    this.at += 4
    return this.#bytes.readUInt32BE(this.at - 4)
  }

  varint(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const octet = this.uint8()
      value += (octet & 0x7f) << shift
      if (octet < 0x80) return value
    }
  }

  octets(size: number): Buffer {
    this.at += size
    if (this.at > this.#bytes.length) throw new Error('a field goes beyond its packet')
    return this.#bytes.subarray(this.at - size, this.at)
  }

  text(): string {
    return this.octets(this.uint16()).toString('utf8')
  }

  /** Refuses what the table does not allow in this packet. */
  properties(packet: string): PropertyList {
    const end = this.varint() + this.at
    const list: [string, PropertyValue][] = []
    while (this.at < end) {
      const row = BY_ID.get(this.uint8())
      if (row === undefined || !row.packets.includes(packet)) {
        throw new Error(`${row?.name ?? 'an unknown property'} in ${packet}`)
      }
      // A PUBLISH from the server may name several subscriptions.
      const mayRepeat = row.repeatable || row.name === 'SubscriptionIdentifier'
      if (!mayRepeat && list.some(([name]) => name === row.name)) {
        throw new Error(`${row.name} stands twice in ${packet}`)
      }
      list.push([row.name, this.#value(row.type)])
    }
    return list
  }

  #value(type: PropertyRow['type']): PropertyValue {
    switch (type) {
      case 'utf8-pair':
        return [this.text(), this.text()]
      case 'utf8':
        return this.text()
      case 'binary':
        return this.octets(this.uint16())
      case 'varint':
        return this.varint()
      case 'byte':
        return this.uint8()
      default:
        return type === 'uint16' ? this.uint16() : this.uint32()
    }
  }
}
