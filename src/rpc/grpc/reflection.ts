import { decodeFields, encodeFields, type ProtobufField, textOf } from '../../codec/grpc/index.ts'
import { CALL_WINDOW, messageCost, type ReplySink, type RequestSink } from '../call.ts'
import type { DescribedFile } from '../descriptors/described-file.ts'
import type { DescriptorSet } from '../descriptors/descriptor-sets.ts'
import { Metadata } from '../metadata.ts'
import { OWN_PROTO_FILES } from '../own-messages.ts'
import type { Registry } from '../registry.ts'
import { OK_STATUS, statusOf } from '../status.ts'
import { HEALTH_FILE, REFLECTION_FILES } from './own-descriptors.ts'

export interface ReflectionParts {
  readonly registry: Registry
  /** Whether the caller may know of a service. */
  readonly maySee: (service: string) => boolean
  /** All of which the caller may know, in order. */
  readonly services: () => readonly string[]
}

/** Field numbers of ServerReflectionRequest and ServerReflectionResponse. */
const REQUEST = { FILE: 3, SYMBOL: 4, EXTENSION: 5, EXTENSIONS: 6, SERVICES: 7 } as const
const RESPONSE = { REQUEST: 2, FILES: 4, EXTENSIONS: 5, SERVICES: 6, ERROR: 7 } as const
const NOT_FOUND = 5

/** Names of files that a stream has sent; the memory begins anew when it is full. */
const SENT_NAMES_MAX = 4096

/** Where something was found. */
interface Found {
  readonly set: DescriptorSet
  readonly file: DescribedFile
}

/**
 * One stream of questions about services, each answered as soon as there is room for the answer.
 * A file comes with all that it imports and that the stream has not sent before.
 */
export class Reflection implements RequestSink {
  readonly #parts: ReflectionParts
  readonly #reply: ReplySink
  /** Answers are larger than questions, and a caller may not read. */
  #credit = CALL_WINDOW
  /** Not credited, so no more than a window of them. */
  readonly #waiting: Uint8Array[] = []
  #isLast = false
  #isOver = false
  /** Which providers' files the last answer came from: those it names are of the same. */
  #lastSet: DescriptorSet | null = null
  readonly #sent = new Set<string>()

  constructor(parts: ReflectionParts, reply: ReplySink) {
    this.#parts = parts
    this.#reply = reply
  }

  message(bytes: Uint8Array, isLast: boolean): void {
    if (this.#isOver) return
    this.#isLast ||= isLast
    // A copy: what comes is borrowed.
    this.#waiting.push(new Uint8Array(bytes))
    this.#answerAll()
  }

  halfClose(): void {
    this.#isLast = true
    this.#answerAll()
  }

  cancel(): void {
    this.#isOver = true
    this.#waiting.length = 0
  }

  creditReplies(cost: number): void {
    this.#credit += cost
    this.#answerAll()
  }

  #answerAll(): void {
    while (!this.#isOver && this.#credit > 0) {
      const question = this.#waiting.shift()
      if (question === undefined) break
      const fields = decodeFields(question)
      if (fields === null) {
        this.#isOver = true
        const text = 'no ServerReflectionRequest'
        this.#reply.status(statusOf('INVALID_ARGUMENT', text), Metadata.EMPTY)
        return
      }
      const answer = encodeFields([[RESPONSE.REQUEST, question], this.#answer(fields)])
      this.#credit -= messageCost(answer.length)
      this.#reply.creditRequests(messageCost(question.length))
      this.#reply.reply(answer)
    }
    if (this.#isOver || !this.#isLast || this.#waiting.length > 0) return
    this.#isOver = true
    this.#reply.status(OK_STATUS, Metadata.EMPTY)
  }

  #answer(fields: readonly ProtobufField[]): ProtobufField {
    const asked = fields.findLast(
      ([number]) => number >= REQUEST.FILE && number <= REQUEST.SERVICES,
    )
    const text = textOf(fields, asked?.[0] ?? 0)
    switch (asked?.[0]) {
      case REQUEST.SERVICES: {
        const list = this.#parts.services().map((name) => [1, encodeFields([[1, name]])] as const)
        return [RESPONSE.SERVICES, encodeFields(list)]
      }
      case REQUEST.FILE:
        return this.#fileAnswer(text, (set) => set.file(text))
      case REQUEST.SYMBOL:
        return this.#fileAnswer(text, (set) => set.defining(text))
      case REQUEST.EXTENSION:
        return this.#extensionAnswer(asked[1])
      case REQUEST.EXTENSIONS:
        return this.#extensionsAnswer(text)
      default:
        return failure('nothing was asked')
    }
  }

  #fileAnswer(name: string, find: (set: DescriptorSet) => DescribedFile | null): ProtobufField {
    const own = ownFileOf(name)
    if (own !== null) return [RESPONSE.FILES, encodeFields([[1, own]])]
    const found = this.#find(name, find)
    if (found === null) return failure(`no descriptor of ${name} is registered`)
    return this.#filesOf(found)
  }

  #filesOf({ set, file }: Found): ProtobufField {
    this.#lastSet = set
    if (this.#sent.size > SENT_NAMES_MAX) this.#sent.clear()
    const files = set.closure(file).filter((each) => each === file || !this.#sent.has(each.name))
    for (const { name } of files) this.#sent.add(name)
    return [RESPONSE.FILES, encodeFields(files.map(({ bytes }) => [1, bytes] as const))]
  }

  #extensionAnswer(asked: ProtobufField[1]): ProtobufField {
    const fields = asked instanceof Uint8Array ? (decodeFields(asked) ?? []) : []
    const type = textOf(fields, 1)
    const number = fields.findLast(([known]) => known === 2)?.[1]
    const found = this.#find(type, (set) => {
      const files = [...set.files]
      const has = ({ extensions }: DescribedFile): boolean =>
        extensions.some((each) => each.extends === type && each.number === number)
      return files.find(has) ?? null
    })
    if (found !== null) return this.#filesOf(found)
    return failure(`no extension ${String(number)} of ${type} is registered`)
  }

  #extensionsAnswer(type: string): ProtobufField {
    const found = this.#find(type, (set) => set.defining(type))
    if (found === null && ownFileOf(type) === null) {
      return failure(`no descriptor of ${type} is registered`)
    }
    const files = found === null ? [] : [...found.set.files]
    const known = files.flatMap(({ extensions }) => extensions)
    const numbers = known.filter((each) => each.extends === type).map(({ number }) => number)
    const list = [...new Set(numbers)].map((number) => [2, number] as const)
    return [RESPONSE.EXTENSIONS, encodeFields([[1, type], ...list])]
  }

  /**
   * What a service is, its own providers say, the last to come first. Anything else is looked for
   * where the last answer came from, and then in all sets of which the caller may know.
   */
  #find(name: string, find: (set: DescriptorSet) => DescribedFile | null): Found | null {
    const { registry, maySee } = this.#parts
    const outer = name.slice(0, Math.max(name.lastIndexOf('.'), 0))
    const service = registry.service(name) ?? registry.service(outer)
    const said = service?.providers.map(({ descriptors }) => descriptors).toReversed()
    const mayKnow = (set: DescriptorSet): boolean => [...set.services.keys()].some(maySee)
    if (service !== null && !maySee(service.name)) return null
    for (const set of new Set(said ?? [this.#lastSet, ...registry.descriptors.newestFirst])) {
      const file = set === null ? null : find(set)
      if (set !== null && file !== null && mayKnow(set)) return { set, file }
    }
    return null
  }
}

function failure(text: string): ProtobufField {
  return [
    RESPONSE.ERROR,
    encodeFields([
      [1, NOT_FOUND],
      [2, text],
    ]),
  ]
}

/** The file that defines a symbol of the broker's own services, or that has the name. */
function ownFileOf(name: string): Uint8Array | null {
  for (const file of [HEALTH_FILE, ...REFLECTION_FILES]) {
    if (name === file.name || name === file.package || name.startsWith(`${file.package}.`)) {
      return file.descriptor
    }
  }
  for (const { name: fileName, symbols, descriptor } of OWN_PROTO_FILES) {
    const has = (symbol: string): boolean => name === symbol || name.startsWith(`${symbol}.`)
    if (name === fileName || symbols.some(has)) return descriptor
  }
  return null
}
