import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf'

/** What a validator says of a value. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** A Standard Schema, version 1 (https://standardschema.dev): Zod, Valibot, ArkType and others. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
    /** Standard JSON Schema, where the library has it: the messages as people see them. */
    readonly jsonSchema?: JsonSchemaConverter | undefined
  }
}

/** May throw where a schema cannot be said in JSON Schema. */
export interface JsonSchemaConverter {
  readonly input: (options: { readonly target: string }) => Record<string, unknown>
  readonly output: (options: { readonly target: string }) => Record<string, unknown>
}

/** What a contract may name for a message: a Standard Schema, or a descriptor of protobuf-es. */
export type MessageType = StandardSchema | DescMessage

/** The value that is given to be sent. */
export type SentOf<T> = T extends DescMessage
  ? MessageInitShape<T>
  : T extends StandardSchema
    ? NonNullable<T['~standard']['types']>['input']
    : never

/** The value that is received, checked and with its defaults. */
export type ReceivedOf<T> = T extends DescMessage
  ? MessageShape<T>
  : T extends StandardSchema
    ? NonNullable<T['~standard']['types']>['output']
    : never

export function isDescriptor(type: MessageType): type is DescMessage {
  return 'kind' in type && type.kind === 'message'
}
