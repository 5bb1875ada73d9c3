import {
  type DerivedContract,
  type DerivedField,
  type DerivedMessage,
  type DerivedMethod,
  fullName,
  typeText,
} from './derived-contract.ts'
import { isOptional, streamsOf } from './proto-file.ts'

/** The `.proto` file of a derived contract, as somebody would have written it. */
export function protoText(derived: DerivedContract): string {
  const { package: scope, serviceName, methods, messages, imports } = derived
  const imported = [...imports].map(({ proto }) => `import "${proto.name}";`).toSorted()
  const calls = [...methods.values()].flatMap((method) => methodLines(method, scope))
  const parts = [
    ['// Derived from a contract by `waystation contract emit --proto`: change that, not this.'],
    ['syntax = "proto3";'],
    ...(scope === '' ? [] : [[`package ${scope};`]]),
    ...(imported.length === 0 ? [] : [imported]),
    [`service ${serviceName} {`, ...calls.map(indented), '}'],
    ...messages.map((message) => messageLines(message)),
  ]
  return `${parts.map((lines) => lines.join('\n')).join('\n\n')}\n`
}

function methodLines({ name, method, input, output }: DerivedMethod, scope: string): string[] {
  const { kind, idempotency, errors } = method
  const streams = streamsOf(kind)
  const stream = (isStream: boolean): string => (isStream ? 'stream ' : '')
  const taken = `${stream(streams.in)}${relative(input.typeName, scope)}`
  const given = `${stream(streams.out)}${relative(output.typeName, scope)}`
  const said = Object.keys(errors)
  const notes = [
    ...(kind === 'oneway' ? ['Nobody waits for what comes of it.'] : []),
    ...(said.length === 0 ? [] : [`Fails with ${said.join(', ')}.`]),
  ]
  const call = `rpc ${name}(${taken}) returns (${given})`
  const level = idempotency === 'idempotent' ? 'IDEMPOTENT' : 'NO_SIDE_EFFECTS'
  return [
    ...notes.map((note) => `// ${note}`),
    ...(idempotency === 'none'
      ? [`${call};`]
      : [`${call} {`, `  option idempotency_level = ${level};`, '}']),
  ]
}

function messageLines(message: DerivedMessage): string[] {
  const { shape, fields, nested, reserved } = message
  const name = shape.name.slice(shape.name.lastIndexOf('.') + 1)
  const live = new Set(fields.map((field) => field.name))
  const numbers = Object.keys(reserved)
  const names = [...new Set(Object.values(reserved))].filter((each) => !live.has(each))
  const body = [
    ...(numbers.length === 0 ? [] : [`reserved ${numbers.join(', ')};`]),
    ...(names.length === 0 ? [] : [`reserved ${names.map(quoted).join(', ')};`]),
    ...nested.flatMap((each) => [...messageLines(each), '']),
    ...fields.flatMap((field) => fieldLines(field)),
  ]
  if (body.length === 0) return [...commentLines(shape.description), `message ${name} {}`]
  return [...commentLines(shape.description), `message ${name} {`, ...body.map(indented), '}']
}

function fieldLines(field: DerivedField): string[] {
  const { name, jsonName, number, shape, description } = field
  const rule = isOptional(field) ? 'optional ' : ''
  const type = typeText(shape, '')
  const option = jsonName === defaultJsonName(name) ? '' : ` [json_name = ${quoted(jsonName)}]`
  return [...commentLines(description), `${rule}${type} ${name} = ${number}${option};`]
}

/** Names of this package without it; those of others as they are. */
function relative(typeName: string, scope: string): string {
  const prefix = fullName(scope, '')
  return scope !== '' && typeName.startsWith(prefix) ? typeName.slice(prefix.length) : typeName
}

function commentLines(text: string): string[] {
  return text === '' ? [] : text.split(/\r\n?|\n/).map((line) => `// ${line}`.trimEnd())
}

function indented(line: string): string {
  return line === '' ? '' : `  ${line}`
}

/** As protoc makes it of a field's name. */
function defaultJsonName(name: string): string {
  return name.replaceAll(/_+(.?)/g, (_, letter: string) => letter.toUpperCase())
}

function quoted(text: string): string {
  return JSON.stringify(text)
}
