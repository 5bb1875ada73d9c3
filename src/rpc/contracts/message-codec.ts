import {
  create,
  createRegistry,
  fromBinary,
  fromJsonString,
  type Registry,
  toBinary,
  toJsonString,
} from '@bufbuild/protobuf'
import type { DescFile, DescMessage, MessageInitShape } from '@bufbuild/protobuf'
import {
  isDescriptor,
  type MessageType,
  type SchemaIssue,
  type SchemaResult,
  type StandardSchema,
} from './schema.ts'

/** A message that does not fit the contract; the text names what is wrong. */
export class MessageFault extends Error {
  override readonly name = 'MessageFault'
}

/** How one kind of message becomes bytes and comes back. */
export interface MessageCodec {
  /** What calls say of it: `json` or `proto`. */
  readonly contentType: string
  /** Whether messages may be written as a call says. */
  takes(contentType: string): boolean
  encode(value: unknown, contentType: string): Uint8Array
  /** Throws `MessageFault`; a promise only where a schema checks asynchronously. */
  decode(bytes: Uint8Array, contentType: string): unknown
}

/** A value of JSON as protobuf, for schemas. */
export interface ProtobufForm {
  toBinary(value: unknown): Uint8Array
  fromBinary(bytes: Uint8Array): unknown
}

/** `form` is asked when protobuf comes first; null: the schema has none. */
export function codecOf(
  type: MessageType,
  form: () => ProtobufForm | null = () => null,
): MessageCodec {
  return isDescriptor(type) ? new ProtobufCodec(type) : new SchemaCodec(type, form)
}

class SchemaCodec implements MessageCodec {
  readonly contentType = 'json'
  readonly #schema: StandardSchema
  readonly #formOf: () => ProtobufForm | null
  /** Undefined: nobody has asked. */
  #form: ProtobufForm | null | undefined

  constructor(schema: StandardSchema, form: () => ProtobufForm | null) {
    this.#schema = schema
    this.#formOf = form
  }

  takes(contentType: string): boolean {
    return contentType === 'json' || (contentType === 'proto' && this.#protobuf !== null)
  }

  encode(value: unknown, contentType: string): Uint8Array {
    if (contentType === 'proto' && this.#protobuf !== null) return this.#protobuf.toBinary(value)
    // What JSON cannot say, such as undefined, is nothing.
    return Buffer.from(JSON.stringify(value) ?? 'null')
  }

  decode(bytes: Uint8Array, contentType: string): unknown {
    const result = this.#schema['~standard'].validate(this.#valueOf(bytes, contentType))
    return result instanceof Promise ? result.then(checked) : checked(result)
  }

  get #protobuf(): ProtobufForm | null {
    this.#form = this.#form === undefined ? this.#formOf() : this.#form
    return this.#form
  }

  #valueOf(bytes: Uint8Array, contentType: string): unknown {
    if (contentType === 'json') {
      try {
        return JSON.parse(textOf(bytes))
      } catch (cause) {
        throw new MessageFault('the message is not JSON', { cause })
      }
    }
    const form = contentType === 'proto' ? this.#protobuf : null
    if (form === null) {
      throw new MessageFault(`a message in '${contentType}', where the contract has only JSON`)
    }
    try {
      return form.fromBinary(bytes)
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new MessageFault(`the message is not what the contract has: ${reason}`, { cause })
    }
  }
}

class ProtobufCodec implements MessageCodec {
  readonly contentType = 'proto'
  readonly #type: DescMessage
  /** What an `Any` inside may be, made when JSON comes or goes. */
  #registry: Registry | null = null

  constructor(type: DescMessage) {
    this.#type = type
  }

  takes(contentType: string): boolean {
    return contentType === 'proto' || contentType === 'json'
  }

  encode(value: unknown, contentType: string): Uint8Array {
    const message = create(this.#type, value as MessageInitShape<DescMessage>)
    if (contentType === 'json') {
      const registry = this.#known
      return Buffer.from(toJsonString(this.#type, message, { registry }))
    }
    return toBinary(this.#type, message)
  }

  decode(bytes: Uint8Array, contentType: string): unknown {
    try {
      if (contentType === 'json') {
        const registry = this.#known
        // A newer client may know fields that this side does not, as in the binary form.
        const options = { registry, ignoreUnknownFields: true }
        return fromJsonString(this.#type, textOf(bytes), options)
      }
      // A copy: fields of bytes are views of what was read, and that is borrowed.
      return fromBinary(this.#type, new Uint8Array(bytes))
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new MessageFault(`the message is no ${this.#type.typeName}: ${reason}`, { cause })
    }
  }

  get #known(): Registry {
    this.#registry ??= createRegistry(...filesOf(this.#type.file))
    return this.#registry
  }
}

/** Every file that a file stands on, and itself. */
function filesOf(file: DescFile, known: Set<DescFile> = new Set()): Set<DescFile> {
  if (known.has(file)) return known
  known.add(file)
  for (const dependency of file.dependencies) filesOf(dependency, known)
  return known
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}

function checked(result: SchemaResult<unknown>): unknown {
  if (result.issues === undefined) return result.value
  throw new MessageFault(result.issues.slice(0, ISSUES_MAX).map(issueText).join('; '))
}

/** So many are told of one message. */
const ISSUES_MAX = 8

function issueText({ message, path = [] }: SchemaIssue): string {
  const keys = path.map((part) => String(typeof part === 'object' ? part.key : part))
  return keys.length === 0 ? message : `${keys.join('.')}: ${message}`
}
