import type { DescService } from '@bufbuild/protobuf'
import { type MessageCodec, codecOf } from './message-codec.ts'
import { DerivedCodecs } from './proto/derived-codecs.ts'
import type { FieldNumbers } from './proto/field-numbers.ts'
import {
  type DescribedMethods,
  type DescribedOptions,
  type DescribedService,
  methodsOf,
} from './described-methods.ts'
import type { MessageType, StandardSchema } from './schema.ts'

export type MethodKind = 'unary' | 'serverStream' | 'clientStream' | 'bidi' | 'oneway'

/**
 * Whether a call may be made again when it is not certain that nobody has seen it: `none` (the
 * default), `idempotent` (twice is as once), `no-side-effects`.
 */
export type Idempotency = 'none' | 'idempotent' | 'no-side-effects'

/** Errors that a method declares, by name, with what they carry. */
export type DeclaredErrors = Readonly<Record<string, StandardSchema>>

export interface MethodOptions<
  In extends MessageType,
  Out extends MessageType,
  Errors extends DeclaredErrors,
> {
  readonly in: In
  readonly out: Out
  readonly errors?: Errors
  readonly idempotency?: Idempotency
  /** When the caller says nothing else; default 10 s. */
  readonly deadlineMs?: number
}

export interface Method<
  Kind extends MethodKind,
  In extends MessageType,
  Out extends MessageType,
  Errors extends DeclaredErrors,
> {
  readonly kind: Kind
  readonly in: In
  readonly out: Out
  readonly errors: Errors
  readonly idempotency: Idempotency
  readonly deadlineMs: number | null
  /** How calls name it where that differs from its key; null: it does not. */
  readonly wireName: string | null
}

export type AnyMethod = Method<MethodKind, MessageType, MessageType, DeclaredErrors>

export type Methods = Readonly<Record<string, AnyMethod>>

/** What a service offers: the same object types its client and its handlers. */
export interface Contract<M extends Methods = Methods> {
  /** Such as `shop.v1.Orders`. */
  readonly name: string
  readonly methods: M
  /** What it was made from, if from a `.proto` file. */
  readonly descriptor?: DescService
  /** Numbers that fields of schemas keep in protobuf. */
  readonly fieldNumbers?: FieldNumbers
}

export interface ServiceOptions {
  /**
   * What `waystation contract emit --proto` keeps beside the contract: fields of schemas have these
   * numbers in protobuf, and new ones the next. Default: numbers in the order of the fields.
   */
  readonly fieldNumbers?: FieldNumbers
}

/** A method ready to be called: its path and how its messages are written. */
export interface BoundMethod {
  readonly name: string
  readonly path: string
  readonly method: AnyMethod
  readonly request: MessageCodec
  readonly reply: MessageCodec
}

const NOTHING: StandardSchema<void> = {
  '~standard': { version: 1, vendor: 'waystation', validate: () => ({ value: undefined }) },
}

export type NoErrors = Readonly<Record<never, StandardSchema>>

function maker<Kind extends MethodKind>(kind: Kind) {
  return <
    In extends MessageType,
    Out extends MessageType,
    Errors extends DeclaredErrors = NoErrors,
  >(
    options: MethodOptions<In, Out, Errors>,
  ): Method<Kind, In, Out, Errors> => methodOf(kind, options)
}

type Maker<Kind extends MethodKind> = <
  In extends MessageType,
  Out extends MessageType,
  Errors extends DeclaredErrors = NoErrors,
>(
  options: MethodOptions<In, Out, Errors>,
) => Method<Kind, In, Out, Errors>

/** The kinds of methods, each made from the types of its messages. */
export const rpc: {
  /** One message to, one back. */
  readonly unary: Maker<'unary'>
  /** One message to, any number back. */
  readonly serverStream: Maker<'serverStream'>
  /** Any number to, one back. */
  readonly clientStream: Maker<'clientStream'>
  /** Any number to and back, each side at its own pace. */
  readonly bidi: Maker<'bidi'>
  /** One message to, and no answer but that a provider has it. */
  readonly oneway: <In extends MessageType>(
    options: Omit<MethodOptions<In, MessageType, NoErrors>, 'out' | 'errors'>,
  ) => Method<'oneway', In, StandardSchema<void>, NoErrors>
} = {
  unary: maker('unary'),
  serverStream: maker('serverStream'),
  clientStream: maker('clientStream'),
  bidi: maker('bidi'),
  oneway: (options) => methodOf('oneway', { ...options, out: NOTHING }),
}

const SERVICE_NAME = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/
const METHOD_NAME = /^[A-Za-z_]\w*$/

/** A contract without generated code. Throws `TypeError` for a name that no wire could carry. */
export function service<const M extends Methods>(
  name: string,
  methods: M,
  options?: ServiceOptions,
): Contract<M>
/**
 * The contract of a service in a `.proto` file, as protobuf-es describes it: by the code that it
 * generates, or from a set of descriptors read at run time. `options` has what the file cannot say.
 */
export function service<
  S extends DescribedService,
  const O extends DescribedOptions<S> = Record<never, never>,
>(descriptor: S, options?: O): Contract<DescribedMethods<S, O>>
export function service(
  first: string | DescribedService,
  second: Methods | DescribedOptions<DescribedService> = {},
  { fieldNumbers }: ServiceOptions = {},
): Contract {
  // Which of the two ways it is called, the first argument says.
  if (typeof first === 'string') {
    const contract = madeContract(first, second as Methods)
    return fieldNumbers === undefined ? contract : { ...contract, fieldNumbers }
  }
  const options = second as DescribedOptions<DescribedService>
  const descriptor = first as DescService
  return { name: descriptor.typeName, methods: methodsOf(descriptor, options), descriptor }
}

function madeContract(name: string, methods: Methods): Contract {
  if (!SERVICE_NAME.test(name)) throw new TypeError(`'${name}' is no name of a service`)
  for (const method of Object.keys(methods)) {
    if (!METHOD_NAME.test(method)) throw new TypeError(`'${method}' is no name of a method`)
  }
  return { name, methods }
}

/** Every method of a contract with its path. */
export function bind(contract: Contract): BoundMethod[] {
  const derived = new DerivedCodecs(contract)
  return Object.entries(contract.methods).map(([name, method]) => ({
    name,
    path: `/${contract.name}/${method.wireName ?? name}`,
    method,
    request: codecOf(method.in, () => derived.of(name, 'input')),
    reply: codecOf(method.out, () => derived.of(name, 'output')),
  }))
}

function methodOf<
  Kind extends MethodKind,
  In extends MessageType,
  Out extends MessageType,
  Errors extends DeclaredErrors,
>(kind: Kind, options: MethodOptions<In, Out, Errors>): Method<Kind, In, Out, Errors> {
  const { in: input, out, errors, idempotency = 'none', deadlineMs = null } = options
  // Without the option nothing was inferred but that there is none.
  return {
    ...{ kind, in: input, out, errors: errors ?? ({} as Errors) },
    ...{ idempotency, deadlineMs, wireName: null },
  }
}
