/** Contracts as files, for the command line. */
export { deriveContract } from '../rpc/contracts/proto/derived-contract.ts'
export type { FieldNumbers } from '../rpc/contracts/proto/field-numbers.ts'
export { protoText } from '../rpc/contracts/proto/proto-text.ts'
export { type ContractDocument, contractDocument } from '../rpc/contracts/json-document.ts'
export { openApiDocument } from '../rpc/contracts/openapi.ts'
export { diffContracts } from '../rpc/contracts/diff/contract-diff.ts'
export {
  contractsOfDescriptors,
  type ContractVersion,
  documentVersion,
  isContract,
  isServiceDescriptor,
  versionOf,
} from '../rpc/contracts/diff/contract-version.ts'
