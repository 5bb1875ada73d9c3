/**
 * The messages of the Connect conformance suite, from the descriptors that setup.sh has compiled of
 * the suite's own files, and how its runner and the programs under test talk: each message behind
 * its length in four octets.
 */
import { readFileSync, writeSync } from 'node:fs'
import {
  type DescMessage,
  type DescService,
  createFileRegistry,
  fromBinary,
  type FileRegistry,
} from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { type AnyMethod, type Contract, rpc, service } from '../../../src/client/index.ts'

const PACKAGE = 'connectrpc.conformance.v1'

/** Where the runner's parent says that the descriptors are. */
const DESCRIPTORS_VARIABLE = 'WAYSTATION_CONFORMANCE_DESCRIPTORS'

export const registry: FileRegistry = readRegistry()

/** Several sets, one behind the other, are one, in which files come again. */
function readRegistry(): FileRegistry {
  const bytes = readFileSync(process.env[DESCRIPTORS_VARIABLE] ?? '')
  const set = fromBinary(FileDescriptorSetSchema, bytes)
  set.file = [...new Map(set.file.map((file) => [file.name, file])).values()]
  return createFileRegistry(set)
}

export function message(name: string): DescMessage {
  const found = registry.getMessage(`${PACKAGE}.${name}`)
  if (found === undefined) throw new TypeError(`there is no message ${name}`)
  return found
}

const conformanceService: DescService = ((): DescService => {
  const found = registry.getService(`${PACKAGE}.ConformanceService`)
  if (found === undefined) throw new TypeError('the descriptors have no ConformanceService')
  return found
})()

const MAKERS = {
  unary: rpc.unary,
  server_streaming: rpc.serverStream,
  client_streaming: rpc.clientStream,
  bidi_streaming: rpc.bidi,
} as const

/** NO_SIDE_EFFECTS of google.protobuf.MethodOptions.IdempotencyLevel. */
const NO_SIDE_EFFECTS = 1

/** Methods of the service by their names; some only, or all. */
export function contractOf(names?: readonly string[]): Contract<Record<string, AnyMethod>> {
  const methods = conformanceService.methods.filter(
    ({ name }) => names === undefined || names.includes(name),
  )
  const entries = methods.map(({ name, methodKind, input, output, idempotency }) => {
    const isSafe = Number(idempotency) === NO_SIDE_EFFECTS
    const options = { in: input, out: output }
    const method: AnyMethod = isSafe
      ? MAKERS[methodKind]({ ...options, idempotency: 'no-side-effects' })
      : MAKERS[methodKind](options)
    return [name, method] as const
  })
  return service(conformanceService.typeName, Object.fromEntries(entries))
}

/** Cuts messages out of what comes; each behind its length. */
export async function* delimited(input: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const bytes of input) {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
      const end = 4 + rest.readUInt32BE(0)
      yield rest.subarray(4, end)
      rest = rest.subarray(end)
    }
  }
}

export function writeDelimited(bytes: Uint8Array): void {
  const all = Buffer.alloc(4 + bytes.length)
  all.writeUInt32BE(bytes.length, 0)
  all.set(bytes, 4)
  for (let at = 0; at < all.length;) at += writeSync(1, all, at)
}
