import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  type FileDescriptorProtoSchema as FileSchema,
} from '@bufbuild/protobuf/wkt'
import { decodeFields, encodeFields, textOf } from '../codec/grpc/index.ts'
import { DESCRIPTORS_BYTES_MAX } from '../codec/rpc/index.ts'
import { ManualClock } from '../lib/clock.ts'
import { type Callee, CLOSED_REQUEST, type ReplySink } from '../rpc/call.ts'
import { Metadata } from '../rpc/metadata.ts'
import { statusOf } from '../rpc/status.ts'
import { REFLECTION_MS } from './limits.ts'
import { serverDescriptors } from './server-descriptors.ts'

type File = MessageInitShape<typeof FileSchema>

const FILES: readonly File[] = [
  { name: 'shop.proto', package: 'shop', dependency: ['money.proto', 'day.proto'] },
  { name: 'money.proto', package: 'money', dependency: ['day.proto'] },
  { name: 'day.proto', package: 'day' },
]

/** Answers with one file at a time, as some servers do. */
class Server implements Callee {
  readonly asked: string[] = []
  readonly #files: readonly File[]
  readonly #version: string

  constructor(files: readonly File[], version = 'v1') {
    this.#files = files
    this.#version = version
  }

  open({ path }: { readonly path: string }, reply: ReplySink): typeof CLOSED_REQUEST {
    if (!path.includes(`.${this.#version}.`)) {
      reply.status(statusOf('UNIMPLEMENTED', path), Metadata.EMPTY)
      return CLOSED_REQUEST
    }
    return {
      ...CLOSED_REQUEST,
      message: (bytes) => {
        const fields = decodeFields(bytes)!
        const [symbol, name] = [textOf(fields, 4), textOf(fields, 3)]
        this.asked.push(symbol === '' ? name : symbol)
        const wanted = symbol === 'shop.Orders' ? 'shop.proto' : name
        const file = this.#files.find((each) => each.name === wanted)
        const answer =
          file === undefined
            ? ([7, encodeFields([[1, 5]])] as const)
            : ([
                4,
                encodeFields([
                  [1, toBinary(FileDescriptorProtoSchema, create(FileDescriptorProtoSchema, file))],
                ]),
              ] as const)
        queueMicrotask(() => reply.reply(encodeFields([answer])))
      },
    }
  }
}

async function namesOf(server: Server, service = 'shop.Orders'): Promise<string[] | null> {
  const set = await serverDescriptors(server, new ManualClock(), [service])
  return set === null ? null : fromBinary(FileDescriptorSetSchema, set).file.map(({ name }) => name)
}

test('files come with all that they import, each after those, and each is asked for once', async () => {
  for (const version of ['v1', 'v1alpha']) {
    const server = new Server(FILES, version)
    assert.deepEqual(await namesOf(server), ['day.proto', 'money.proto', 'shop.proto'])
    assert.deepEqual(server.asked, ['shop.Orders', 'money.proto', 'day.proto'])
  }
})

test('without reflection, without the service or a file, or with too much there are none', async () => {
  assert.equal(await namesOf(new Server(FILES, 'v9')), null)
  assert.equal(await namesOf(new Server(FILES), 'other.Service'), null)
  assert.equal(await namesOf(new Server(FILES.slice(0, 2))), null)
  const large = { name: 'day.proto', package: 'x'.repeat(DESCRIPTORS_BYTES_MAX) }
  assert.equal(await namesOf(new Server([...FILES.slice(0, 2), large])), null)
})

test('a server that does not answer is waited for so long and no longer', async () => {
  const clock = new ManualClock()
  const silent = serverDescriptors({ open: () => CLOSED_REQUEST }, clock, ['shop.Orders'])
  clock.advance(REFLECTION_MS)
  assert.equal(await silent, null)
})
