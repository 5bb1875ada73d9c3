import { RpcError, type Status, type StatusDetail, type StatusName } from '../status.ts'
import type { AnyMethod, Contract, Methods } from './contract.ts'
import type { ReceivedOf } from './schema.ts'

/** Details of this kind are JSON; the rest is the full name of the error. */
const JSON_TYPE = 'json/'

/** A declared error as a caller sees it: which one, and what it carries. */
export type DeclaredErrorOf<M extends AnyMethod> = {
  [Name in keyof M['errors'] & string]: {
    readonly name: Name
    readonly data: ReceivedOf<M['errors'][Name]>
  }
}[keyof M['errors'] & string]

/** The error that a handler throws for one of those that its method declares. */
export function declaredError(
  service: string,
  {
    name,
    data,
    message = name,
    code = 'FAILED_PRECONDITION',
  }: {
    readonly name: string
    readonly data: unknown
    readonly message?: string | undefined
    readonly code?: Exclude<StatusName, 'OK'> | undefined
  },
): RpcError {
  const value = Buffer.from(JSON.stringify(data) ?? 'null')
  const details: StatusDetail[] = [{ type: `${JSON_TYPE}${service}.${name}`, value }]
  return new RpcError(code, message, { details })
}

/**
 * Which of the errors that a method declares an error is; null when it is none of them.
 *
 *     const declared = errorOf(Orders, 'place', error)
 *     if (declared?.name === 'OutOfStock') offerInstead(declared.data.sku)
 */
export function errorOf<M extends Methods, Name extends keyof M & string>(
  contract: Contract<M>,
  method: Name,
  error: unknown,
): DeclaredErrorOf<M[Name]> | null {
  if (!(error instanceof RpcError)) return null
  const { errors } = contract.methods[method]!
  for (const [name, schema] of Object.entries(errors)) {
    const value = jsonDetail(error, `${JSON_TYPE}${contract.name}.${name}`)
    if (value === undefined) continue
    const result = schema['~standard'].validate(value)
    if (result instanceof Promise || result.issues !== undefined) return null
    // The name is one of the method's, and the schema of that name has checked the data.
    return { name, data: result.value } as DeclaredErrorOf<M[Name]>
  }
  return null
}

function jsonDetail({ details }: Pick<Status, 'details'>, type: string): unknown {
  const detail = details.find((candidate) => candidate.type === type)
  if (detail === undefined) return undefined
  try {
    return JSON.parse(Buffer.from(detail.value).toString('utf8'))
  } catch {
    // A peer sent it: what is no JSON is none of the errors that are declared.
    return undefined
  }
}
