import type { DescMessage, DescMethod, DescService } from '@bufbuild/protobuf'
import { MethodOptions_IdempotencyLevel as LEVEL } from '@bufbuild/protobuf/wkt'
import type { AnyMethod, DeclaredErrors, Idempotency, Method, Methods } from './contract.ts'
import type { StandardSchema } from './schema.ts'

/** A service as protobuf-es describes it, also with the types of what it generates. */
export type DescribedService = Omit<DescService, 'method'> & {
  readonly method: Readonly<Record<string, Pick<DescMethod, 'input' | 'output' | 'methodKind'>>>
}

/** What a `.proto` file cannot say of a method. */
export interface DescribedMethodOptions {
  readonly errors?: DeclaredErrors
  /** When the caller says nothing else; default 10 s. */
  readonly deadlineMs?: number
  /** In the place of the file's `idempotency_level`. */
  readonly idempotency?: Idempotency
}

/** By the names that methods have in TypeScript: `place` for `rpc Place`. */
export type DescribedOptions<S extends DescribedService> = {
  readonly [Name in keyof S['method']]?: DescribedMethodOptions
}

interface Kinds {
  readonly unary: 'unary'
  readonly server_streaming: 'serverStream'
  readonly client_streaming: 'clientStream'
  readonly bidi_streaming: 'bidi'
}

type ErrorsOf<O, Name> = Name extends keyof O
  ? O[Name] extends { readonly errors: infer E extends DeclaredErrors }
    ? E
    : Readonly<Record<never, StandardSchema>>
  : Readonly<Record<never, StandardSchema>>

/** The methods of a described service, named as in TypeScript. */
export type DescribedMethods<S extends DescribedService, O = Record<never, never>> = {
  readonly [Name in keyof S['method']]: Method<
    Kinds[S['method'][Name]['methodKind']],
    S['method'][Name]['input'] extends DescMessage ? S['method'][Name]['input'] : DescMessage,
    S['method'][Name]['output'] extends DescMessage ? S['method'][Name]['output'] : DescMessage,
    ErrorsOf<O, Name>
  >
}

const KINDS: Kinds = {
  unary: 'unary',
  server_streaming: 'serverStream',
  client_streaming: 'clientStream',
  bidi_streaming: 'bidi',
}

/** Throws `TypeError` where there are options of a method that the service does not have. */
export function methodsOf(
  { typeName, methods }: DescService,
  options: Readonly<Record<string, DescribedMethodOptions | undefined>>,
): Methods {
  for (const name of Object.keys(options)) {
    if (methods.some(({ localName }) => localName === name)) continue
    throw new TypeError(`${typeName} has no method '${name}'`)
  }
  return Object.fromEntries(
    methods.map((method) => [method.localName, methodOf(method, options[method.localName])]),
  )
}

function methodOf(method: DescMethod, options: DescribedMethodOptions = {}): AnyMethod {
  const { errors = {}, deadlineMs = null, idempotency = idempotencyOf(method) } = options
  return {
    ...{ kind: KINDS[method.methodKind], in: method.input, out: method.output },
    ...{ errors, deadlineMs, idempotency, wireName: method.name },
  }
}

function idempotencyOf({ idempotency }: DescMethod): Idempotency {
  switch (idempotency) {
    case LEVEL.NO_SIDE_EFFECTS:
      return 'no-side-effects'
    case LEVEL.IDEMPOTENT:
      return 'idempotent'
    default:
      return 'none'
  }
}
