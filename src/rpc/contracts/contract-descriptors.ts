import { create, type DescFile, toBinary } from '@bufbuild/protobuf'
import { type FileDescriptorProto, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { DESCRIPTORS_BYTES_MAX } from '../../codec/rpc/index.ts'
import type { Contract } from './contract.ts'
import { type DerivedContract, deriveContract } from './proto/derived-contract.ts'
import { protoFile, streamsOf } from './proto/proto-file.ts'

/**
 * The descriptors of a contract as a provider hands them to the broker: a FileDescriptorSet. Null:
 * there are none that say the truth, or they are larger than is taken.
 */
export function descriptorsOf(contract: Contract): Uint8Array | null {
  const files = contractFiles(contract)
  if (files === null) return null
  const bytes = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: files }))
  return bytes.length > DESCRIPTORS_BYTES_MAX ? null : bytes
}

/** Every file after those that it imports. */
function contractFiles(contract: Contract): FileDescriptorProto[] | null {
  const known = new Set<DescFile>()
  if (contract.descriptor !== undefined) {
    addFile(contract.descriptor.file, known)
    return [...known].map(({ proto }) => proto)
  }
  const derived = deriveContract(contract)
  for (const file of derived.imports) addFile(file, known)
  const files = [...known].map(({ proto }) => proto)
  const described = [...known].flatMap(({ services }) => services)
  const same = described.find(({ typeName }) => typeName === contract.name)
  if (same === undefined) return [...files, protoFile(derived)]
  // The messages come with a service of the name: it must be the one that is served.
  return isServed(derived, same) ? files : null
}

function isServed(derived: DerivedContract, described: DescFile['services'][number]): boolean {
  return [...derived.methods.values()].every(({ name, method, input, output }) => {
    const same = described.methods.find((each) => each.name === name)
    const streams = streamsOf(method.kind)
    return (
      same !== undefined &&
      same.input.typeName === input.typeName &&
      (method.kind === 'oneway' || same.output.typeName === output.typeName) &&
      same.proto.clientStreaming === streams.in &&
      same.proto.serverStreaming === streams.out
    )
  })
}

function addFile(file: DescFile, known: Set<DescFile>): void {
  if (known.has(file)) return
  for (const dependency of file.dependencies) addFile(dependency, known)
  known.add(file)
}
