import { decodeFields, encodeFields, textOf } from '../codec/grpc/index.ts'
import { DESCRIPTORS_BYTES_MAX } from '../codec/rpc/index.ts'
import type { Clock } from '../lib/clock.ts'
import { type Callee, messageCost, type ReplySink, type RequestSink } from '../rpc/call.ts'
import { Metadata } from '../rpc/metadata.ts'
import { RpcError, type Status } from '../rpc/status.ts'
import { REFLECTION_MS, REFLECTION_QUESTIONS_MAX } from './limits.ts'

/** The newer first; many servers have the older one only. */
const METHODS: readonly string[] = [
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo',
]

/** Field numbers of ServerReflectionRequest, ServerReflectionResponse and FileDescriptorProto. */
const REQUEST = { FILE: 3, SYMBOL: 4 } as const
const RESPONSE = { FILES: 4, ERROR: 7 } as const
const FILE = { NAME: 1, DEPENDENCY: 3 } as const

/**
 * Asks a gRPC server for the descriptors of its services, by reflection: a FileDescriptorSet. Null:
 * it has no reflection, does not know a service, or says more than is taken.
 */
export async function serverDescriptors(
  callee: Callee,
  clock: Clock,
  services: readonly string[],
): Promise<Uint8Array | null> {
  for (const path of METHODS) {
    try {
      return await new Reader(services).read(callee, clock, path)
    } catch (error) {
      if (!(error instanceof RpcError)) throw error
      if (error.code !== 'UNIMPLEMENTED') return null
    }
  }
  return null
}

interface ServerFile {
  readonly name: string
  readonly bytes: Uint8Array
  readonly dependencies: readonly string[]
}

/** One stream of questions: about the services, then for the files that came without their imports. */
class Reader implements ReplySink {
  readonly #questions: Buffer[]
  readonly #files = new Map<string, ServerFile>()
  readonly #asked = new Set<string>()
  readonly #outcome = Promise.withResolvers<Uint8Array>()
  #request: RequestSink | null = null
  #byteLength = 0
  #isOver = false

  constructor(services: readonly string[]) {
    this.#questions = services.map((name) => encodeFields([[REQUEST.SYMBOL, name]]))
  }

  async read(callee: Callee, clock: Clock, path: string): Promise<Uint8Array> {
    const deadlineMs = clock.monotonicMs() + REFLECTION_MS
    const timer = clock.setTimer(REFLECTION_MS, () => {
      this.#end(new RpcError('DEADLINE_EXCEEDED', 'the server does not say what it has'))
    })
    const head = { path, metadata: Metadata.EMPTY, deadlineMs, contentType: 'proto' }
    const request = callee.open({ ...head, isOneWay: false }, this)
    this.#request = request
    if (this.#isOver) request.cancel('it has ended')
    else this.#ask()
    try {
      return await this.#outcome.promise
    } finally {
      timer.cancel()
    }
  }

  head(): void {}
  creditRequests(): void {}

  status({ code, message }: Status): void {
    this.#request = null
    this.#end(new RpcError(code === 'OK' ? 'INTERNAL' : code, message))
  }

  reply(bytes: Uint8Array): void {
    if (this.#isOver) return
    this.#request?.creditReplies(messageCost(bytes.length))
    const fields = decodeFields(bytes) ?? []
    const files = fields.find(([number]) => number === RESPONSE.FILES)?.[1]
    if (!(files instanceof Uint8Array)) {
      return this.#end(new RpcError('NOT_FOUND', 'the server does not know a service or a file'))
    }
    for (const [, file] of decodeFields(files) ?? []) {
      if (file instanceof Uint8Array) this.#take(file)
    }
    if (this.#byteLength > DESCRIPTORS_BYTES_MAX) {
      return this.#end(new RpcError('RESOURCE_EXHAUSTED', 'the descriptors are too large'))
    }
    this.#ask()
  }

  #take(borrowed: Uint8Array): void {
    const fields = decodeFields(borrowed) ?? []
    const name = textOf(fields, FILE.NAME)
    if (this.#files.has(name)) return
    const dependencies = fields.flatMap(([number, value]) =>
      number === FILE.DEPENDENCY && value instanceof Uint8Array
        ? [Buffer.from(value).toString('utf8')]
        : [],
    )
    this.#files.set(name, { name, bytes: new Uint8Array(borrowed), dependencies })
    this.#byteLength += borrowed.length
    for (const dependency of dependencies) {
      if (this.#asked.has(dependency)) continue
      this.#asked.add(dependency)
      this.#questions.push(encodeFields([[REQUEST.FILE, dependency]]))
    }
  }

  /** One question at a time: most files come with what they import. */
  #ask(): void {
    for (;;) {
      const question = this.#questions.shift()
      if (question === undefined) return this.#end(null)
      const file = textOf(decodeFields(question) ?? [], REQUEST.FILE)
      if (file !== '' && this.#files.has(file)) continue
      if (this.#asked.size > REFLECTION_QUESTIONS_MAX) {
        return this.#end(new RpcError('RESOURCE_EXHAUSTED', 'the server has too many files'))
      }
      this.#request?.message(question, false)
      return
    }
  }

  #end(error: RpcError | null): void {
    if (this.#isOver) return
    this.#isOver = true
    if (error === null) {
      const files = this.#inOrder().map(({ bytes }) => [1, bytes] as const)
      this.#outcome.resolve(encodeFields(files))
    } else this.#outcome.reject(error)
    this.#request?.cancel('all is known')
    this.#request = null
  }

  /** Every file after those that it imports. */
  #inOrder(): ServerFile[] {
    const ordered = new Set<ServerFile>()
    const begun = new Set<ServerFile>()
    const add = (file: ServerFile): void => {
      if (begun.has(file)) return
      begun.add(file)
      for (const name of file.dependencies) add(this.#files.get(name)!)
      ordered.add(file)
    }
    for (const file of this.#files.values()) add(file)
    return [...ordered]
  }
}
