import assert from 'node:assert/strict'

import { drain, publish } from '../../support/amqp-messages.ts'
import { scenario } from '../../support/amqp-scope.ts'

scenario('exchanges are declared, declared again, looked at and deleted', async (scope) => {
  for (const type of ['direct', 'fanout', 'topic', 'headers']) {
    const name = await scope.exchange(type)
    await scope.channel.assertExchange(name, type)
    await scope.channel.checkExchange(name)
    await scope.channel.deleteExchange(name)
    await scope.refused((channel) => channel.checkExchange(name), {
      scope: 'channel',
      code: 404,
      text: `NOT_FOUND - no exchange '${name}' in vhost '/'`,
      method: 'exchange.declare',
    })
  }
})

scenario('the exchanges every virtual host has are there', async (scope) => {
  const types = [
    ['amq.direct', 'direct'],
    ['amq.fanout', 'fanout'],
    ['amq.topic', 'topic'],
    ['amq.headers', 'headers'],
    ['amq.match', 'headers'],
  ] as const
  for (const [name, type] of types) {
    await scope.channel.checkExchange(name)
    await scope.channel.assertExchange(name, type, { durable: true })
  }
  await scope.channel.checkExchange('amq.rabbitmq.trace')
})

scenario('reserved names and predeclared exchanges are protected', async (scope) => {
  await scope.refused((channel) => channel.assertExchange('amq.mine', 'direct'), {
    scope: 'channel',
    code: 403,
    text: "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
    method: 'exchange.declare',
  })
  await scope.refused((channel) => channel.deleteExchange('amq.direct'), {
    scope: 'channel',
    code: 403,
    text: "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    method: 'exchange.delete',
  })
})

scenario('the default exchange can be neither declared, bound nor deleted', async (scope) => {
  const text = 'ACCESS_REFUSED - operation not permitted on the default exchange'
  const expected = { scope: 'channel', code: 403, text } as const
  const queue = await scope.queue()
  await scope.refused((channel) => channel.assertExchange('', 'direct'), {
    ...expected,
    method: 'exchange.declare',
  })
  await scope.refused((channel) => channel.deleteExchange(''), {
    ...expected,
    method: 'exchange.delete',
  })
  await scope.refused((channel) => channel.bindQueue(queue, '', 'k'), {
    ...expected,
    method: 'queue.bind',
  })
  await scope.refused((channel) => channel.unbindQueue(queue, '', queue), {
    ...expected,
    method: 'queue.unbind',
  })
  await scope.refused((channel) => channel.bindExchange('amq.fanout', '', 'k'), {
    ...expected,
    method: 'exchange.bind',
  })
})

scenario('an unknown exchange type is refused', async (scope) => {
  const name = scope.name('odd')
  await scope.refused((channel) => channel.assertExchange(name, 'circular'), {
    scope: 'channel',
    code: 406,
    text: "PRECONDITION_FAILED - invalid exchange type 'circular'",
    method: 'exchange.declare',
  })
})

scenario('a redeclaration that differs is refused with both values', async (scope) => {
  const name = await scope.exchange('direct', { durable: true })
  const text = (arg: string, received: string, current: string): string =>
    `PRECONDITION_FAILED - inequivalent arg '${arg}' for exchange '${name}' in vhost '/': ` +
    `received ${received} but current is ${current}`
  const expected = { scope: 'channel', code: 406, method: 'exchange.declare' } as const
  await scope.refused((channel) => channel.assertExchange(name, 'fanout'), {
    ...expected,
    text: text('type', "'fanout'", "'direct'"),
  })
  await scope.refused((channel) => channel.assertExchange(name, 'direct', { durable: false }), {
    ...expected,
    text: text('durable', "'false'", "'true'"),
  })
  await scope.refused((channel) => channel.assertExchange(name, 'direct', { autoDelete: true }), {
    ...expected,
    text: text('auto_delete', "'true'", "'false'"),
  })
  await scope.refused((channel) => channel.assertExchange(name, 'direct', { internal: true }), {
    ...expected,
    text: text('internal', "'true'", "'false'"),
  })
  await scope.refused(
    (channel) => channel.assertExchange(name, 'direct', { alternateExchange: 'amq.fanout' }),
    {
      ...expected,
      text: text('alternate-exchange', "the value 'amq.fanout' of type 'longstr'", 'none'),
    },
  )
})

scenario('publishing to a missing exchange closes the channel', async (scope) => {
  const name = scope.name('missing')
  await scope.refused((channel) => channel.publish(name, 'k', Buffer.from('x')), {
    scope: 'channel',
    code: 404,
    text: `NOT_FOUND - no exchange '${name}' in vhost '/'`,
    method: 'basic.publish',
  })
})

scenario('binding from or to what is missing is refused', async (scope) => {
  const queue = await scope.queue()
  const name = scope.name('missing')
  const text = `NOT_FOUND - no exchange '${name}' in vhost '/'`
  await scope.refused((channel) => channel.bindQueue(queue, name, 'k'), {
    scope: 'channel',
    code: 404,
    text,
    method: 'queue.bind',
  })
  await scope.refused((channel) => channel.bindExchange(name, 'amq.direct', 'k'), {
    code: 404,
    text,
    method: 'exchange.bind',
  })
  await scope.refused((channel) => channel.bindExchange('amq.direct', name, 'k'), {
    code: 404,
    text,
    method: 'exchange.bind',
  })
})

scenario('an internal exchange takes no publish, but what is bound to it', async (scope) => {
  const internal = await scope.exchange('fanout', { internal: true })
  const queue = await scope.queue()
  await scope.channel.bindQueue(queue, internal, '')
  await scope.refused((channel) => channel.publish(internal, '', Buffer.from('x')), {
    scope: 'channel',
    code: 403,
    text: `ACCESS_REFUSED - cannot publish to internal exchange '${internal}' in vhost '/'`,
    method: 'basic.publish',
  })
  const front = await scope.exchange('fanout')
  await scope.channel.bindExchange(internal, front, '')
  await publish(scope.channel, front, '', 'through')
  assert.deepEqual(await drain(scope.channel, queue), ['through'])
})

scenario('if-unused keeps an exchange that has bindings', async (scope) => {
  const name = await scope.exchange('direct')
  const queue = await scope.queue()
  await scope.channel.bindQueue(queue, name, 'k')
  await scope.refused((channel) => channel.deleteExchange(name, { ifUnused: true }), {
    scope: 'channel',
    code: 406,
    text: `PRECONDITION_FAILED - exchange '${name}' in vhost '/' in use`,
    method: 'exchange.delete',
  })
  await scope.channel.unbindQueue(queue, name, 'k')
  await scope.channel.deleteExchange(name, { ifUnused: true })
})

scenario('an auto-delete exchange goes with its last binding', async (scope) => {
  const name = await scope.exchange('direct', { autoDelete: true })
  const queue = await scope.queue()
  await scope.channel.checkExchange(name)
  await scope.channel.bindQueue(queue, name, 'a')
  await scope.channel.bindQueue(queue, name, 'b')
  await scope.channel.unbindQueue(queue, name, 'a')
  await scope.channel.checkExchange(name)
  await scope.channel.unbindQueue(queue, name, 'b')
  await scope.refused((channel) => channel.checkExchange(name), { code: 404 })
})

scenario('an auto-delete exchange goes when its last queue is deleted', async (scope) => {
  const name = await scope.exchange('fanout', { autoDelete: true })
  const queue = await scope.queue()
  await scope.channel.bindQueue(queue, name, '')
  await scope.channel.deleteQueue(queue)
  await scope.refused((channel) => channel.checkExchange(name), { code: 404 })
})

scenario('the alternate exchange gets what routes nowhere', async (scope) => {
  const alternate = await scope.exchange('fanout')
  const main = await scope.exchange('direct', { alternateExchange: alternate })
  const bound = await scope.queue()
  const rest = await scope.queue()
  await scope.channel.bindQueue(bound, main, 'known')
  await scope.channel.bindQueue(rest, alternate, '')
  await publish(scope.channel, main, 'known', 'one')
  await publish(scope.channel, main, 'unknown', 'two')
  assert.deepEqual(await drain(scope.channel, bound), ['one'])
  assert.deepEqual(await drain(scope.channel, rest), ['two'])
})

scenario('mandatory is kept when the alternate exchange routes nowhere either', async (scope) => {
  const alternate = await scope.exchange('direct')
  const main = await scope.exchange('direct', { alternateExchange: alternate })
  const returned: string[] = []
  scope.channel.on('return', (message) => {
    returned.push(message.content.toString())
  })
  await publish(scope.channel, main, 'nowhere', 'lost', { mandatory: true })
  assert.deepEqual(returned, ['lost'])
})

scenario('an alternate exchange that is missing drops as if there were none', async (scope) => {
  const main = await scope.exchange('direct', { alternateExchange: scope.name('absent') })
  assert.equal(await publish(scope.channel, main, 'nowhere', 'lost'), 'ack')
})

scenario('bad exchange arguments are refused', async (scope) => {
  const name = scope.name('bad')
  await scope.refused(
    (channel) => channel.assertExchange(name, 'direct', { arguments: { 'alternate-exchange': 5 } }),
    {
      scope: 'channel',
      code: 406,
      text: `PRECONDITION_FAILED - invalid type 'byte' for arg 'alternate-exchange' in exchange '${name}' in vhost '/'`,
      method: 'exchange.declare',
    },
  )
})
