import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import {
  FieldDescriptorProto_Label as LABEL,
  FieldDescriptorProto_Type as TYPE,
  type FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt'
import { decodeFields, encodeFields, textOf } from '../../codec/grpc/index.ts'
import { SeededRandom } from '../../lib/random.ts'
import { CALL_WINDOW, CLOSED_REQUEST, messageCost } from '../call.ts'
import { type Attachment, Registry } from '../registry.ts'
import type { Status } from '../status.ts'
import { Reflection } from './reflection.ts'

const FILE = 3
const SYMBOL = 4
const FILES = 4
const ERROR = 7

type File = MessageInitShape<typeof FileDescriptorProtoSchema>

/** A file of one service and one message, told from others by the name of the message's field. */
function fileOf(scope: string, field: string, name = 'service.proto') {
  return {
    ...{ name, package: scope, syntax: 'proto3' },
    messageType: [
      {
        name: 'Item',
        field: [{ name: field, number: 1, type: TYPE.STRING, label: LABEL.OPTIONAL }],
      },
    ],
    service: [{ name: 'Items' }],
  }
}

class World {
  readonly registry = new Registry(new SeededRandom(1))
  readonly replies: Buffer[] = []
  readonly hidden = new Set<string>()
  ended: Status | null = null
  credited = 0
  readonly stream: Reflection

  constructor() {
    const parts = {
      registry: this.registry,
      maySee: (service: string) => !this.hidden.has(service),
      services: () => [],
    }
    this.stream = new Reflection(parts, {
      head: () => {},
      reply: (bytes) => void this.replies.push(Buffer.from(bytes)),
      status: (status) => (this.ended = status),
      creditRequests: (cost) => (this.credited += cost),
    })
  }

  attach(service: string, ...file: File[]): Attachment {
    const set = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file }))
    const info = { instanceId: 'a', version: '', labels: {}, weight: 1, user: '' }
    const provider = { ...info, services: [service], descriptors: set }
    return this.registry.attach(provider, { open: () => CLOSED_REQUEST }, 1)
  }

  /** The files that come, as text; null: an error. */
  ask(kind: number, text: string): string[] | null {
    const question = encodeFields([[kind, text]])
    this.stream.message(question, false)
    const answer = decodeFields(this.replies.at(-1)!)!
    assert.deepEqual(answer[0], [2, question])
    const [number, content] = answer[1]!
    if (number === ERROR) return null
    assert.equal(number, FILES)
    return decodeFields(content as Uint8Array)!.map(([, file]) => String(file))
  }
}

test('what a service is its own providers say, the last to come first, and nobody else', () => {
  const world = new World()
  const first = world.attach('shop.v1.Items', fileOf('shop.v1', 'old'))
  const second = world.attach('shop.v1.Items', fileOf('shop.v1', 'new'))
  world.attach('evil.Items', fileOf('shop.v1', 'false'), fileOf('evil', 'x', 'evil.proto'))
  assert.match(world.ask(SYMBOL, 'shop.v1.Items')![0]!, /new/)
  assert.match(world.ask(SYMBOL, 'shop.v1.Item')![0]!, /new/, 'of the same files as the service')
  world.registry.detach(second)
  assert.match(world.ask(SYMBOL, 'shop.v1.Items')![0]!, /old/)
  world.registry.detach(first)
  world.attach('shop.v1.Items')
  assert.equal(world.ask(SYMBOL, 'shop.v1.Items'), null, 'its provider has said nothing')
})

test('files that others import come from where the importing one came', () => {
  const world = new World()
  for (const [scope, field] of [
    ['a', 'ours'],
    ['b', 'theirs'],
  ] as const) {
    const common = fileOf('common', field, 'common.proto')
    world.attach(`${scope}.Items`, common, {
      ...fileOf(scope, field),
      dependency: ['common.proto'],
    })
  }
  const [service = '', common = ''] = world.ask(SYMBOL, 'b.Items')!
  assert.match(service, /~[0-9a-f]{12}\/service\.proto/)
  assert.match(common, /theirs/)
  const name = /~[0-9a-f]{12}\/common\.proto/.exec(service)?.[0] ?? ''
  assert.match(world.ask(FILE, name)![0]!, /theirs/)
  assert.match(world.ask(FILE, 'common.proto')![0]!, /ours/)
  // What the stream has sent it does not send again, but what it is asked for.
  assert.equal(world.ask(SYMBOL, 'b.Items')!.length, 1)
})

test('who may not call a service sees nothing of it', () => {
  const world = new World()
  world.attach('a.Items', fileOf('a', 'x'))
  world.hidden.add('a.Items')
  for (const [kind, text] of [
    [SYMBOL, 'a.Items'],
    [SYMBOL, 'a.Items.Get'],
    [SYMBOL, 'a.Item'],
    [FILE, 'service.proto'],
  ] as const) {
    assert.equal(world.ask(kind, text), null, text)
  }
  world.hidden.clear()
  assert.equal(world.ask(SYMBOL, 'a.Item')?.length, 1)
})

test('extensions are found by message and number', () => {
  const world = new World()
  const note = { name: 'note', number: 1000, type: TYPE.STRING, label: LABEL.OPTIONAL }
  world.attach('a.Items', { ...fileOf('a', 'x'), extension: [{ ...note, extendee: '.a.Item' }] })
  const about = (name: string): unknown => {
    world.stream.message(encodeFields([[6, name]]), false)
    const [, answer] = decodeFields(world.replies.at(-1)!)!
    const fields = answer?.[0] === 5 ? decodeFields(answer[1] as Uint8Array)! : null
    return fields === null ? null : [textOf(fields, 1), ...fields.slice(1).map(([, n]) => n)]
  }
  assert.deepEqual(about('a.Item'), ['a.Item', 1000])
  assert.equal(about('a.None'), null)
  const asked = encodeFields([
    [1, 'a.Item'],
    [2, 1000],
  ])
  world.stream.message(encodeFields([[5, asked]]), false)
  assert.equal(decodeFields(world.replies.at(-1)!)![1]?.[0], FILES)
})

test('a caller who does not read is answered no further than the window goes', () => {
  const world = new World()
  world.attach('a.Items', fileOf('a', 'x'.repeat(20_000)))
  const question = encodeFields([[SYMBOL, 'a.Items']])
  for (let at = 0; at < 100; at++) world.stream.message(question, at === 99)
  const size = world.replies[0]!.length
  assert.equal(world.replies.length, Math.ceil(CALL_WINDOW / messageCost(size)))
  assert.equal(world.credited, world.replies.length * messageCost(question.length))
  assert.equal(world.ended, null)
  for (let at = 0; at < 100; at++) world.stream.creditReplies(messageCost(size))
  assert.equal(world.replies.length, 100)
  assert.equal((world.ended as Status | null)?.code, 'OK')
})

test('a question that is none ends the stream', () => {
  const world = new World()
  world.stream.message(Buffer.from([0xff]), false)
  assert.equal((world.ended as Status | null)?.code, 'INVALID_ARGUMENT')
  world.stream.message(encodeFields([[SYMBOL, 'a']]), true)
  assert.equal(world.replies.length, 0)
})
