import assert from 'node:assert/strict'

import { Inbox, publish, text } from '../../support/amqp-messages.ts'
import { scenario } from '../../support/amqp-scope.ts'

const REPLY_TO = 'amq.rabbitmq.reply-to'

scenario('a request is answered without a reply queue', async (scope) => {
  const requests = await scope.queue()
  const asking = await scope.openPlain()
  const replies = await Inbox.open(asking, REPLY_TO, { noAck: true })
  asking.publish('', requests, Buffer.from('ping'), { replyTo: REPLY_TO, correlationId: '7' })
  const answering = await scope.open(await scope.connect())
  const inbox = await Inbox.open(answering, requests, { noAck: true })
  const request = await inbox.next()
  const replyTo = request.properties.replyTo as string
  assert.match(replyTo, /^amq\.rabbitmq\.reply-to\../)
  assert.equal(request.properties.correlationId, '7')
  await publish(answering, '', replyTo, 'pong', { correlationId: '7' })
  const reply = await replies.next()
  assert.equal(text(reply), 'pong')
  assert.equal(reply.properties.correlationId, '7')
  assert.deepEqual(
    [reply.fields.exchange, reply.fields.routingKey, reply.fields.consumerTag],
    ['', replyTo, replies.tag],
  )
})

scenario('a passive declare tells whether the asker is still there', async (scope) => {
  const requests = await scope.queue()
  const asking = await scope.openPlain()
  const replies = await Inbox.open(asking, REPLY_TO, { noAck: true })
  asking.publish('', requests, Buffer.from('ping'), { replyTo: REPLY_TO })
  const request = await (await Inbox.open(scope.channel, requests, { noAck: true })).next()
  const replyTo = request.properties.replyTo as string
  assert.deepEqual(
    { ...(await scope.channel.checkQueue(replyTo)) },
    {
      queue: replyTo,
      messageCount: 0,
      consumerCount: 1,
    },
  )
  const returned: string[] = []
  scope.channel.on('return', (message) => {
    returned.push(message.content.toString())
  })
  await asking.cancel(replies.tag)
  await publish(scope.channel, '', replyTo, 'late', { mandatory: true })
  assert.deepEqual(returned, ['late'])
  await scope.refused((channel) => channel.checkQueue(replyTo), {
    scope: 'channel',
    code: 404,
    text: `NOT_FOUND - no queue '${replyTo}' in vhost '/'`,
  })
})

scenario('the reply consumer must not acknowledge and must be there once', async (scope) => {
  await scope.refused((channel) => channel.consume(REPLY_TO, () => {}), {
    scope: 'channel',
    code: 406,
    text: 'PRECONDITION_FAILED - reply consumer cannot acknowledge',
    method: 'basic.consume',
  })
  await scope.refused(
    async (channel) => {
      await channel.consume(REPLY_TO, () => {}, { noAck: true })
      await channel.consume(REPLY_TO, () => {}, { noAck: true })
    },
    {
      scope: 'channel',
      code: 406,
      text: 'PRECONDITION_FAILED - reply consumer already set',
      method: 'basic.consume',
    },
  )
})

scenario('a request without a reply consumer is refused', async (scope) => {
  const requests = await scope.queue()
  await scope.refused(
    (channel) => channel.publish('', requests, Buffer.from('x'), { replyTo: REPLY_TO }),
    {
      scope: 'channel',
      code: 406,
      text: 'PRECONDITION_FAILED - fast reply consumer does not exist',
      method: 'basic.publish',
    },
  )
})
