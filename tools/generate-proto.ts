/**
 * Writes descriptors of the broker's own services from `proto/`, as FileDescriptorProto in the JSON
 * of protobuf. It reads what those files use of the language and stops at anything else.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs'

const SCALARS: readonly string[] = ['string', 'bytes', 'bool', 'uint32', 'uint64']

interface Json {
  [name: string]: string | number | boolean | Json | (string | Json)[]
}

interface Field extends Json {
  name: string
}

class Words {
  readonly #words: readonly string[]
  #at = 0

  constructor(text: string) {
    this.#words = text.replace(/\/\/.*/g, '').match(/"[^"]*"|[\w.]+|[{}<>(),;=]/g) ?? []
  }

  get peek(): string | undefined {
    return this.#words[this.#at]
  }

  next(expected?: string): string {
    const word = this.#words[this.#at++]
    if (word === undefined || (expected !== undefined && word !== expected)) {
      throw new Error(`expected ${expected ?? 'a word'}, got ${word} at word ${this.#at}`)
    }
    return word
  }

  /** Whether that comes next; then it is taken. */
  take(word: string): boolean {
    if (this.peek !== word) return false
    this.#at += 1
    return true
  }
}

function fileOf(name: string, text: string): Json {
  const words = new Words(text)
  words.next('syntax')
  words.next('=')
  words.next('"proto3"')
  words.next(';')
  words.next('package')
  const scope = words.next()
  words.next(';')
  const enums = new Set([...text.matchAll(/^enum (\w+)/gm)].map(([, found]) => found!))
  const lists = { messageType: [] as Json[], enumType: [] as Json[], service: [] as Json[] }
  while (words.peek !== undefined) {
    const kind = words.next()
    if (kind === 'message') lists.messageType.push(messageOf(words, scope, enums))
    else if (kind === 'enum') lists.enumType.push(enumOf(words))
    else if (kind === 'service') lists.service.push(serviceOf(words, scope))
    else throw new Error(`${name}: '${kind}' is not known here`)
  }
  const used = Object.entries(lists).filter(([, list]) => list.length > 0)
  return { name, package: scope, syntax: 'proto3', ...Object.fromEntries(used) }
}

function messageOf(words: Words, scope: string, enums: ReadonlySet<string>): Json {
  const name = words.next()
  const path = `.${scope}.${name}`
  const fields: Json[] = []
  const choices: Json[] = []
  const entries: Json[] = []
  const optional: Field[] = []
  const type = (word: string): Json => {
    if (SCALARS.includes(word)) return { type: `TYPE_${word.toUpperCase()}` }
    const kind = enums.has(word) ? 'TYPE_ENUM' : 'TYPE_MESSAGE'
    return { type: kind, typeName: `.${scope}.${word}` }
  }
  const rest = (field: Json, label: string): Field => {
    const fieldName = words.next()
    words.next('=')
    const number = Number(words.next())
    words.next(';')
    const jsonName = fieldName.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
    return { name: fieldName, number, label: `LABEL_${label}`, ...field, jsonName }
  }
  words.next('{')
  while (!words.take('}')) {
    if (words.take('oneof')) {
      choices.push({ name: words.next() })
      words.next('{')
      while (!words.take('}')) {
        const field = rest(type(words.next()), 'OPTIONAL')
        fields.push({ ...field, oneofIndex: choices.length - 1 })
      }
    } else if (words.take('map')) {
      for (const word of ['<', 'string', ',', 'string', '>']) words.next(word)
      const at = rest({ type: 'TYPE_MESSAGE' }, 'REPEATED')
      const { name: own } = at
      const entry = `${own[0]!.toUpperCase()}${own.slice(1)}Entry`
      fields.push({ ...at, typeName: `${path}.${entry}` })
      entries.push(mapEntry(entry))
    } else if (words.take('optional')) {
      const field = { ...rest(type(words.next()), 'OPTIONAL'), proto3Optional: true }
      fields.push(field)
      optional.push(field)
    } else {
      const label = words.take('repeated') ? 'REPEATED' : 'OPTIONAL'
      fields.push(rest(type(words.next()), label))
    }
  }
  // protoc puts those of optional fields last.
  for (const field of optional) {
    field['oneofIndex'] = choices.length
    choices.push({ name: `_${field.name}` })
  }
  return {
    name,
    ...(fields.length === 0 ? {} : { field: fields }),
    ...(entries.length === 0 ? {} : { nestedType: entries }),
    ...(choices.length === 0 ? {} : { oneofDecl: choices }),
  }
}

function mapEntry(name: string): Json {
  const field = ['key', 'value'].map((fieldName, index) => {
    const label = 'LABEL_OPTIONAL'
    return { name: fieldName, number: index + 1, label, type: 'TYPE_STRING', jsonName: fieldName }
  })
  return { name, field, options: { mapEntry: true } }
}

function enumOf(words: Words): Json {
  const name = words.next()
  const value: Json[] = []
  words.next('{')
  while (!words.take('}')) {
    const valueName = words.next()
    words.next('=')
    value.push({ name: valueName, number: Number(words.next()) })
    words.next(';')
  }
  return { name, value }
}

function serviceOf(words: Words, scope: string): Json {
  const name = words.next()
  const method: Json[] = []
  words.next('{')
  while (!words.take('}')) {
    words.next('rpc')
    const methodName = words.next()
    const [inputType, clientStreaming] = messages(words, scope)
    words.next('returns')
    const [outputType, serverStreaming] = messages(words, scope)
    words.next(';')
    method.push({
      ...{ name: methodName, inputType, outputType },
      ...(clientStreaming ? { clientStreaming } : {}),
      ...(serverStreaming ? { serverStreaming } : {}),
    })
  }
  return { name, method }
}

function messages(words: Words, scope: string): readonly [string, boolean] {
  words.next('(')
  const isStream = words.take('stream')
  const type = `.${scope}.${words.next()}`
  words.next(')')
  return [type, isStream]
}

const files = globSync('proto/**/*.proto')
  .toSorted()
  .map((path) => fileOf(path.slice('proto/'.length), readFileSync(path, 'utf8')))
writeFileSync(
  'src/rpc/own-files.gen.ts',
  `// Generated by \`npm run generate\` (tools/generate-proto.ts); edit proto/ instead.
import type { JsonObject } from '@bufbuild/protobuf'

/** Files of the broker's own services. */
export const OWN_FILES: readonly JsonObject[] = ${JSON.stringify(files, null, 2)}
`,
)
