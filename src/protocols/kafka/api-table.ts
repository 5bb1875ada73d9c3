import {
  API_CODECS,
  API_VERSIONS,
  type ApiName,
  ERROR,
  type KafkaReader,
  type KafkaWriter,
} from '../../codec/kafka/index.ts'
import type { Handler, RequestContext } from './request-context.ts'

/** One API with its codec and its handler, the types of its messages forgotten. */
export interface Api {
  readonly name: ApiName
  readonly key: number
  readonly versionMin: number
  readonly versionMax: number
  /** What clients are told; lower versions than `versionMin` are refused all the same. */
  readonly advertisedMin: number
  /** Requests are flexible from this version on. */
  readonly flexibleFrom: number
  /** Answered before a login. */
  readonly isOpen: boolean
  read(reader: KafkaReader, version: number): unknown
  write(writer: KafkaWriter, version: number, response: unknown): void
  handle(
    context: RequestContext,
    request: unknown,
    respond: (response: unknown, sent?: () => void) => void,
  ): void
}

export function api<N extends ApiName>(
  name: N,
  handle: Handler<N>,
  { isOpen = false }: { readonly isOpen?: boolean } = {},
): Api {
  const { read, write } = API_CODECS[name]
  return {
    name,
    ...API_VERSIONS[name],
    isOpen,
    read,
    // The casts hold: what `read` gave goes to `handle`, and what that answered comes here.
    write: write as Api['write'],
    handle: handle as unknown as Api['handle'],
  }
}

/** Whether the header of the answer is flexible. */
export function hasFlexibleAnswer({ name, flexibleFrom }: Api, version: number): boolean {
  // A client reads the answer to ApiVersions before it can know what we speak.
  return version >= flexibleFrom && name !== 'ApiVersions'
}

interface AdvertisedVersions {
  readonly apiKey: number
  readonly minVersion: number
  readonly maxVersion: number
}

/** Every API that is served; ApiVersions tells clients exactly these. */
export class ApiTable {
  readonly advertised: readonly AdvertisedVersions[]
  readonly #apis: (Api | undefined)[] = []

  constructor(apis: readonly Api[]) {
    for (const one of apis) this.#apis[one.key] = one
    this.advertised = apis
      .map(({ key, advertisedMin, versionMax }) => ({
        apiKey: key,
        minVersion: advertisedMin,
        maxVersion: versionMax,
      }))
      .toSorted((left, right) => left.apiKey - right.apiKey)
  }

  /** Whether the request of that version has the flexible header. */
  readonly isFlexible = (key: number, version: number): boolean =>
    version >= (this.#apis[key]?.flexibleFrom ?? Infinity)

  find(key: number): Api | null {
    return this.#apis[key] ?? null
  }

  /** What a client is told that asked ApiVersions in a version we do not have. */
  unsupportedVersion(): object {
    const { key } = API_VERSIONS.ApiVersions
    const apiKeys = this.advertised.filter(({ apiKey }) => apiKey === key)
    return { errorCode: ERROR.UNSUPPORTED_VERSION, apiKeys }
  }
}
