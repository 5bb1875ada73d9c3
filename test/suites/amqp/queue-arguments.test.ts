import assert from 'node:assert/strict'
import { test } from 'node:test'

import { scenario, type Scope } from '../../support/amqp-scope.ts'

type Arguments = Readonly<Record<string, unknown>>

interface BadArgument {
  readonly arguments: Arguments
  /** Behind `PRECONDITION_FAILED - `; `QUEUE` stands for the queue's name. */
  readonly text: string
}

const INVALID = "invalid arg 'NAME' for queue 'QUEUE' in vhost '/': "

function invalid(name: string, rest: string): string {
  return INVALID.replace('NAME', name) + rest
}

const BAD: readonly BadArgument[] = [
  {
    arguments: { 'x-message-ttl': -1 },
    text: invalid('x-message-ttl', '{value_negative,-1}'),
  },
  {
    arguments: { 'x-message-ttl': 'soon' },
    text: invalid('x-message-ttl', '"expected integer, got longstr"'),
  },
  {
    arguments: { 'x-message-ttl': 1.5 },
    text: invalid('x-message-ttl', '"expected integer, got double"'),
  },
  { arguments: { 'x-expires': 0 }, text: invalid('x-expires', '{value_zero,0}') },
  { arguments: { 'x-expires': -5 }, text: invalid('x-expires', '{value_negative,-5}') },
  {
    arguments: { 'x-expires': true },
    text: invalid('x-expires', '"expected integer, got bool"'),
  },
  { arguments: { 'x-max-length': -1 }, text: invalid('x-max-length', '{value_negative,-1}') },
  {
    arguments: { 'x-max-length': 'many' },
    text: invalid('x-max-length', '"expected integer, got longstr"'),
  },
  {
    arguments: { 'x-max-length-bytes': -1 },
    text: invalid('x-max-length-bytes', '{value_negative,-1}'),
  },
  {
    arguments: { 'x-max-priority': 256 },
    text: invalid('x-max-priority', '{max_value_exceeded,256}'),
  },
  {
    arguments: { 'x-max-priority': -1 },
    text: invalid('x-max-priority', '{value_negative,-1}'),
  },
  {
    arguments: { 'x-overflow': 'explode' },
    text: invalid('x-overflow', 'invalid_overflow'),
  },
  {
    arguments: { 'x-overflow': 3 },
    text: invalid('x-overflow', '{unacceptable_type,byte}'),
  },
  {
    arguments: { 'x-dead-letter-exchange': 7 },
    text: "invalid type 'byte' for arg 'x-dead-letter-exchange' in queue 'QUEUE' in vhost '/'",
  },
  {
    arguments: { 'x-dead-letter-routing-key': 'k' },
    text: invalid('x-dead-letter-routing-key', 'routing_key_but_no_dlx_defined'),
  },
  {
    arguments: { 'x-single-active-consumer': 'yes' },
    text: invalid('x-single-active-consumer', '{unacceptable_type,longstr}'),
  },
  {
    arguments: { 'x-queue-mode': 'hasty' },
    text: invalid('x-queue-mode', `"unsupported queue mode 'hasty'"`),
  },
  {
    arguments: { 'x-queue-type': 'circular' },
    text: invalid('x-queue-type', `"unsupported queue type 'circular'"`),
  },
]

for (const { arguments: args, text } of BAD) {
  scenario(`x-arguments: ${JSON.stringify(args)} is refused`, async (scope) => {
    const name = scope.name('bad')
    await scope.refused((channel) => channel.assertQueue(name, { arguments: args }), {
      scope: 'channel',
      code: 406,
      text: `PRECONDITION_FAILED - ${text.replace('QUEUE', name)}`,
      method: 'queue.declare',
    })
  })
}

async function declares(scope: Scope, args: Arguments): Promise<void> {
  await scope.queue({ arguments: args })
}

const GOOD: readonly Arguments[] = [
  { 'x-message-ttl': 0 },
  { 'x-expires': 60_000 },
  { 'x-max-length': 0 },
  { 'x-max-priority': 10 },
  { 'x-max-priority': 255 },
  { 'x-overflow': 'reject-publish-dlx' },
  { 'x-queue-mode': 'lazy' },
  { 'x-queue-version': 2 },
  { 'x-queue-type': 'classic' },
  { 'x-single-active-consumer': true },
  { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'k' },
  { 'x-unheard-of': 'kept' },
  { 'x-consumer-timeout': 60_000 },
  { 'x-queue-leader-locator': 'client-local' },
]

for (const args of GOOD) {
  scenario(`x-arguments: ${JSON.stringify(args)} is taken`, async (scope) => {
    await declares(scope, args)
  })
}

scenario(
  'arguments of a declared queue may not change, whatever the integer type',
  async (scope) => {
    const queue = await scope.queue({
      arguments: { 'x-message-ttl': 60_000, 'x-dead-letter-exchange': 'amq.fanout' },
    })
    await scope.channel.assertQueue(queue, {
      arguments: {
        'x-message-ttl': { '!': 'long', value: 60_000 },
        'x-dead-letter-exchange': 'amq.fanout',
      },
    })
    const text = (name: string, received: string, current: string): string =>
      `PRECONDITION_FAILED - inequivalent arg '${name}' for queue '${queue}' in vhost '/': ` +
      `received ${received} but current is ${current}`
    await scope.refused(
      (channel) =>
        channel.assertQueue(queue, {
          arguments: { 'x-message-ttl': 60_001, 'x-dead-letter-exchange': 'amq.fanout' },
        }),
      { code: 406, text: text('x-message-ttl', "'60001'", "'60000'") },
    )
    await scope.refused(
      (channel) =>
        channel.assertQueue(queue, { arguments: { 'x-dead-letter-exchange': 'amq.fanout' } }),
      { code: 406, text: text('x-message-ttl', 'none', "the value '60000' of type 'signedint'") },
    )
    await scope.refused(
      (channel) =>
        channel.assertQueue(queue, {
          arguments: { 'x-message-ttl': 60_000, 'x-dead-letter-exchange': 'amq.direct' },
        }),
      {
        code: 406,
        text: text('x-dead-letter-exchange', "'amq.direct'", "'amq.fanout'"),
      },
    )
    await scope.refused(
      (channel) =>
        channel.assertQueue(queue, {
          arguments: {
            'x-message-ttl': 60_000,
            'x-dead-letter-exchange': 'amq.fanout',
            'x-max-length': 5,
          },
        }),
      { code: 406, text: text('x-max-length', "the value '5' of type 'byte'", 'none') },
    )
  },
)

scenario('an unknown argument is not compared when a queue is declared again', async (scope) => {
  const queue = await scope.queue({ arguments: { 'x-unheard-of': 'one' } })
  await scope.channel.assertQueue(queue, { arguments: { 'x-unheard-of': 'two' } })
})

scenario('another queue type is refused', async (scope) => {
  const queue = await scope.queue()
  await scope.refused(
    (channel) => channel.assertQueue(queue, { arguments: { 'x-queue-type': 'quorum' } }),
    {
      code: 406,
      text:
        `PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue '${queue}' in vhost '/': ` +
        "received 'quorum' but current is 'classic'",
    },
  )
})

test('the lists of arguments are not empty', () => {
  assert.ok(BAD.length > 10 && GOOD.length > 10)
})
