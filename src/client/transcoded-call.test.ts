import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, toBinary } from '@bufbuild/protobuf'
import { ListValueSchema, StructSchema } from '@bufbuild/protobuf/wkt'
import {
  CALL_WINDOW,
  type CallHead,
  messageCost,
  type ReplySink,
  type RequestSink,
} from '../rpc/call.ts'
import { bind, rpc, service } from '../rpc/contracts/contract.ts'
import { Metadata } from '../rpc/metadata.ts'
import { OK_STATUS, type Status } from '../rpc/status.ts'
import { TranscodedCall } from './transcoded-call.ts'

const [METHOD] = bind(
  service('test.A', { m: rpc.bidi({ in: StructSchema, out: ListValueSchema }) }),
)

class World implements ReplySink, RequestSink {
  /** What the callee heard. */
  readonly requests: Buffer[] = []
  readonly heard: string[] = []
  /** What the caller heard. */
  readonly replies: string[] = []
  ended: Status | null = null
  credited = 0
  creditedThere = 0
  toCaller: ReplySink | null = null
  contentType = ''
  readonly call: TranscodedCall

  constructor() {
    const head: CallHead = {
      ...{ path: '/test.A/m', metadata: Metadata.EMPTY, deadlineMs: Infinity },
      ...{ contentType: 'json', isOneWay: false },
    }
    const callee = {
      open: ({ contentType }: CallHead, reply: ReplySink): RequestSink => {
        this.contentType = contentType
        this.toCaller = reply
        return this
      },
    }
    this.call = new TranscodedCall(callee, METHOD!, { head, reply: this })
  }

  message(bytes: Uint8Array, isLast: boolean): void {
    this.requests.push(Buffer.from(bytes))
    if (isLast) this.heard.push('last')
  }
  halfClose(): void {
    this.heard.push('half-close')
  }
  cancel(): void {
    this.heard.push('cancel')
  }
  creditReplies(cost: number): void {
    this.creditedThere += cost
  }
  head(): void {}
  reply(bytes: Uint8Array): void {
    this.replies.push(String(Buffer.from(bytes)))
  }
  status(status: Status): void {
    this.ended = status
  }
  creditRequests(cost: number): void {
    this.credited += cost
  }
}

test('JSON goes as protobuf and comes as JSON, and each side is told its own costs', () => {
  const world = new World()
  const text = '{ "sku": "tea" }'
  world.call.message(Buffer.from(text), false)
  world.call.message(Buffer.from('{}'), true)
  assert.equal(world.contentType, 'proto')
  assert.deepEqual(world.heard, ['last'])
  const [first, second] = world.requests
  assert.deepEqual(
    first,
    Buffer.from(
      toBinary(
        StructSchema,
        create(StructSchema, {
          fields: { sku: { kind: { case: 'stringValue', value: 'tea' } } },
        }),
      ),
    ),
  )
  const { toCaller } = world
  // Dealt with in other pieces than it came.
  toCaller!.creditRequests(messageCost(first!.length) - 1)
  assert.equal(world.credited, 0)
  toCaller!.creditRequests(1 + messageCost(second!.length))
  assert.equal(world.credited, messageCost(text.length) + messageCost(2))
  const reply = toBinary(
    ListValueSchema,
    create(ListValueSchema, { values: [{ kind: { case: 'numberValue', value: 7 } }] }),
  )
  toCaller!.reply(reply)
  assert.deepEqual(world.replies, ['[7]'])
  world.call.creditReplies(messageCost(3))
  assert.equal(world.creditedThere, messageCost(reply.length))
  toCaller!.status(OK_STATUS, Metadata.EMPTY)
  assert.equal(world.ended, OK_STATUS)
})

test('replies that are longer in JSON wait until the caller has room, and so does the end', () => {
  const world = new World()
  // A number of eight octets has up to 22 characters.
  const values = Array.from({ length: 1000 }, (_, at) => ({
    kind: { case: 'numberValue' as const, value: -1.000_000_000_000_1e-300 * (at + 1) },
  }))
  const reply = toBinary(ListValueSchema, create(ListValueSchema, { values }))
  const count = Math.floor(CALL_WINDOW / messageCost(reply.length))
  for (let at = 0; at < count; at++) world.toCaller!.reply(reply)
  world.toCaller!.status(OK_STATUS, Metadata.EMPTY)
  const length = messageCost(world.replies[0]!.length)
  assert.equal(world.replies.length, Math.ceil(CALL_WINDOW / length))
  assert.ok(world.replies.length < count)
  assert.equal(world.ended, null)
  for (let at = 0; at < count; at++) world.call.creditReplies(length)
  assert.equal(world.replies.length, count)
  assert.equal(world.ended, OK_STATUS)
})

test('what is no such message ends the call on both sides', () => {
  const wrong = new World()
  wrong.call.message(Buffer.from('["no struct"]'), true)
  assert.equal((wrong.ended as Status | null)?.code, 'INVALID_ARGUMENT')
  assert.deepEqual([wrong.heard, wrong.requests.length], [['cancel'], 0])
  wrong.toCaller!.reply(Buffer.alloc(0))
  assert.equal(wrong.replies.length, 0)
  const bad = new World()
  bad.toCaller!.reply(Buffer.from([0xff]))
  assert.equal((bad.ended as Status | null)?.code, 'INTERNAL')
  assert.deepEqual(bad.heard, ['cancel'])
})
