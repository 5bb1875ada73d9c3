/** Messages of the broker's own services, by the descriptors in `own-files.gen.ts`. */
import {
  createFileRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  fromJsonString,
  type JsonValue,
  toBinary,
  toJson,
  toJsonString,
} from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { OWN_FILES } from './own-files.gen.ts'

/** A file as reflection shows it. */
export interface OwnFile {
  readonly name: string
  readonly package: string
  /** A FileDescriptorProto. */
  readonly descriptor: Uint8Array
  /** Full names of what it defines. */
  readonly symbols: readonly string[]
}

const files = OWN_FILES.map((json) => fromJson(FileDescriptorProtoSchema, json))
const registries = files.map((file) => createFileRegistry(file, () => undefined))

export const OWN_PROTO_FILES: readonly OwnFile[] = files.map((file, index) => ({
  name: file.name,
  package: file.package,
  descriptor: toBinary(FileDescriptorProtoSchema, file),
  symbols: [...registries[index]!].map(({ typeName }) => typeName),
}))

/** One message of the broker's own, as plain JSON here and in either form on the wire. */
export class OwnMessage<T> {
  readonly #desc: DescMessage

  constructor(name: string) {
    const typeName = `waystation.rpc.v1.${name}`
    const found = registries.map((one) => one.getMessage(typeName)).find((one) => one !== undefined)
    if (found === undefined) throw new TypeError(`no file in proto/ has a message ${name}`)
    this.#desc = found
  }

  /** Every field is there. Throws `Error` for what is no such message. */
  decode(bytes: Uint8Array, contentType: string): T {
    const options = { ignoreUnknownFields: true }
    const message =
      contentType === 'json'
        ? fromJsonString(this.#desc, Buffer.from(bytes).toString('utf8'), options)
        : fromBinary(this.#desc, bytes)
    return toJson(this.#desc, message, { alwaysEmitImplicit: true }) as T
  }

  encode(value: T, contentType: string): Uint8Array {
    const message = fromJson(this.#desc, value as JsonValue)
    if (contentType !== 'json') return toBinary(this.#desc, message)
    return Buffer.from(toJsonString(this.#desc, message, { alwaysEmitImplicit: true }))
  }
}
