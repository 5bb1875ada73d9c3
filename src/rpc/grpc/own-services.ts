import { decodeFields, encodeFields, textOf } from '../../codec/grpc/index.ts'
import {
  CLOSED_REQUEST,
  type CallHead,
  type Callee,
  type ReplySink,
  type RequestSink,
} from '../call.ts'
import { Metadata } from '../metadata.ts'
import type { Registry, RegistryListener } from '../registry.ts'
import { isOwnService as isOfOwnPackage } from '../service-name.ts'
import { OK_STATUS, statusOf } from '../status.ts'
import { Reflection } from './reflection.ts'

const HEALTH_SERVICE = 'grpc.health.v1.Health'
const REFLECTION_SERVICES: readonly string[] = [
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
]

/** `ServingStatus` of grpc.health.v1. */
const SERVING = 1
const SERVICE_UNKNOWN = 3

/** What the broker itself answers, beside the providers' services. */
export interface OwnServiceParts {
  readonly registry: Registry
  /** Whether the caller may know of a service. */
  readonly maySee: (service: string) => boolean
  /** Services of `proto/`, by name. */
  readonly more?: ReadonlyMap<string, StandingService>
}

/** A service whose calls may stand as long as the connection. */
export interface StandingService extends Callee {
  /** They are to end. */
  drain(reason: string): void
}

/** Whether a call is for one of the broker's own services; those answer in its place. */
export function isOwnService(service: string | null): boolean {
  if (service === null) return false
  return (
    service === HEALTH_SERVICE || REFLECTION_SERVICES.includes(service) || isOfOwnPackage(service)
  )
}

/** Answers health checks (grpc.health.v1) and reflection (v1 and v1alpha). */
export class OwnServices implements Callee {
  readonly #parts: OwnServiceParts

  constructor(parts: OwnServiceParts) {
    this.#parts = parts
  }

  /** The connection takes no more calls. */
  drain(reason: string): void {
    for (const service of this.#parts.more?.values() ?? []) service.drain(reason)
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    const [, service = '', method = ''] = head.path.split('/')
    const more = this.#parts.more?.get(service)
    if (more !== undefined) return more.open(head, reply)
    if (head.contentType === 'json' && service === HEALTH_SERVICE && method === 'Check') {
      return new Unary(reply, (request) => this.#checkJson(request))
    }
    if (head.contentType !== 'proto') {
      reply.status(statusOf('UNIMPLEMENTED', `${service} takes protobuf only`), Metadata.EMPTY)
      return CLOSED_REQUEST
    }
    if (service === HEALTH_SERVICE) {
      if (method === 'Check') return new Unary(reply, (request) => this.#check(request))
      if (method === 'Watch') return new HealthWatch(this.#parts, reply)
      if (method === 'List') return new Unary(reply, () => this.#list())
    } else if (method === 'ServerReflectionInfo') {
      const parts = { ...this.#parts, services: () => visibleServices(this.#parts) }
      return new Reflection(parts, reply)
    }
    reply.status(statusOf('UNIMPLEMENTED', `${service} has no method ${method}`), Metadata.EMPTY)
    return CLOSED_REQUEST
  }

  #check(request: Uint8Array): Uint8Array | null {
    const name = textOf(decodeFields(request) ?? [], 1)
    return isKnown(this.#parts, name) ? encodeFields([[1, SERVING]]) : null
  }

  /** For a line of curl. */
  #checkJson(request: Uint8Array): Uint8Array | null {
    const name = serviceNamed(request)
    if (name === null || !isKnown(this.#parts, name)) return null
    return Buffer.from('{"status":"SERVING"}')
  }

  #list(): Uint8Array {
    const serving = encodeFields([[1, SERVING]])
    const names = ['', ...visibleServices(this.#parts)]
    return encodeFields(
      names.map(
        (name) =>
          [
            1,
            encodeFields([
              [1, name],
              [2, serving],
            ]),
          ] as const,
      ),
    )
  }
}

/** What a HealthCheckRequest in JSON asks about; null: it is none. */
function serviceNamed(request: Uint8Array): string | null {
  try {
    const asked = JSON.parse(Buffer.from(request).toString('utf8')) as unknown
    if (typeof asked !== 'object' || asked === null) return null
    const { service = '' } = asked as Readonly<Record<string, unknown>>
    return typeof service === 'string' ? service : null
  } catch {
    // A client sent it: what is no JSON asks about nothing that is known.
    return null
  }
}

/** The broker is the service without a name; every other one serves while it has a provider. */
function isKnown({ registry, maySee }: OwnServiceParts, name: string): boolean {
  return name === '' || isOwnService(name) || (registry.service(name) !== null && maySee(name))
}

function visibleServices({ registry, maySee, more }: OwnServiceParts): string[] {
  const names = [...registry.services].map(({ name }) => name).filter(maySee)
  const own = [HEALTH_SERVICE, ...REFLECTION_SERVICES, ...(more?.keys() ?? [])]
  return [...own, ...names].toSorted()
}

/** A method with one request and one reply; null is NOT_FOUND. */
class Unary implements RequestSink {
  readonly #reply: ReplySink
  readonly #answer: (request: Uint8Array) => Uint8Array | null

  constructor(reply: ReplySink, answer: (request: Uint8Array) => Uint8Array | null) {
    this.#reply = reply
    this.#answer = answer
  }

  message(bytes: Uint8Array): void {
    const answer = this.#answer(bytes)
    if (answer === null) {
      this.#reply.status(statusOf('NOT_FOUND', 'unknown service'), Metadata.EMPTY)
      return
    }
    this.#reply.reply(answer)
    this.#reply.status(OK_STATUS, Metadata.EMPTY)
  }

  halfClose(): void {
    this.#reply.status(statusOf('INTERNAL', 'no request came'), Metadata.EMPTY)
  }

  cancel(): void {}
  creditReplies(): void {}
}

/** Tells of a service's health whenever it changes; it ends with the call. */
class HealthWatch implements RequestSink, RegistryListener {
  readonly #parts: OwnServiceParts
  readonly #reply: ReplySink
  #name = ''
  #told = -1
  #stop: (() => void) | null = null

  constructor(parts: OwnServiceParts, reply: ReplySink) {
    this.#parts = parts
    this.#reply = reply
  }

  message(bytes: Uint8Array): void {
    if (this.#stop !== null) return
    this.#name = textOf(decodeFields(bytes) ?? [], 1)
    this.#stop = this.#parts.registry.watch(this)
    this.#tell()
  }

  halfClose(): void {}

  cancel(): void {
    this.#stop?.()
  }

  creditReplies(): void {}

  attached(): void {
    this.#tell()
  }

  detached(): void {
    this.#tell()
  }

  changed(): void {}

  #tell(): void {
    const status = isKnown(this.#parts, this.#name) ? SERVING : SERVICE_UNKNOWN
    if (status === this.#told) return
    this.#told = status
    this.#reply.reply(encodeFields([[1, status]]))
  }
}
