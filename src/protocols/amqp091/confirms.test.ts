import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CommitListener, PUBLISH } from '../../broker/index.ts'
import { ChannelWriter, decodeMethod, FrameParser } from '../../codec/amqp091/index.ts'
import type { Channel } from './channel.ts'
import { Confirms } from './confirms.ts'

/** A channel that says what was confirmed: `+3*` is an ack of all up to 3, `-2` a nack of 2. */
function world(): {
  confirms: Confirms
  commit: (error: Error | null) => void
  said: () => string
} {
  const listeners: CommitListener[][] = [[]]
  const answered = { count: 0 }
  const buffer = Buffer.alloc(1000)
  const output = { buffer, at: 0, reserve: () => output.at }
  const broker = {
    get ticket() {
      return listeners.length
    },
    onCommit: (listener: CommitListener) => {
      listeners.at(-1)!.push(listener)
      return listeners.length
    },
  }
  const channel = {
    isOpen: true,
    writer: new ChannelWriter(1, 4096),
    connection: { broker, output, requestOutput: () => {} },
  }
  return {
    confirms: new Confirms(channel as unknown as Channel),
    commit: (error) => {
      for (const listener of listeners[answered.count]!) {
        listener.committed(answered.count + 1, error as null)
      }
      answered.count++
      if (answered.count === listeners.length) listeners.push([])
    },
    said: () => {
      const words: string[] = []
      const parser = new FrameParser({
        onMethod: (_channel, id, bytes, start, end) => {
          const method = decodeMethod(id, bytes, start, end)
          if (method.name !== 'basic.ack' && method.name !== 'basic.nack') return
          const sign = method.name === 'basic.ack' ? '+' : '-'
          words.push(`${sign}${method.deliveryTag}${method.multiple ? '*' : ''}`)
        },
        onHeader: () => {},
        onBody: () => {},
        onHeartbeat: () => {},
      })
      parser.push(Buffer.from(buffer.subarray(0, output.at)))
      output.at = 0
      return words.join(' ')
    },
  }
}

test('one ack for all that a commit stored', () => {
  const { confirms, commit, said } = world()
  for (let i = 0; i < 3; i++) confirms.published(PUBLISH.ROUTED)
  confirms.published(PUBLISH.UNROUTED)
  assert.equal(said(), '')
  commit(null)
  assert.equal(said(), '+4*')
  confirms.published(PUBLISH.ROUTED)
  commit(null)
  assert.equal(said(), '+5')
})

test('a refused publish is nacked at once and not acked later', () => {
  const { confirms, commit, said } = world()
  confirms.published(PUBLISH.ROUTED)
  confirms.published(PUBLISH.REJECTED)
  assert.equal(said(), '-2')
  commit(null)
  assert.equal(said(), '+1')
})

test('what the store refused is nacked, all of it', () => {
  const { confirms, commit, said } = world()
  confirms.published(PUBLISH.ROUTED)
  confirms.published(PUBLISH.ROUTED)
  commit(new Error('the disk broke'))
  assert.equal(said(), '-2*')
  confirms.published(PUBLISH.ROUTED)
  commit(new Error('the disk broke'))
  assert.equal(said(), '-3')
})
