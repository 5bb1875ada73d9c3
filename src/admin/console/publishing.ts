import type { Hono } from 'hono'
import { PUBLISH } from '../../broker/route.ts'
import { encodeAddress } from '../../model/address.ts'
import { NO_PROPERTIES } from '../../model/canonical-properties.ts'
import { BrokerError } from '../../model/errors.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import { NATIVE_FORM } from '../../model/native-form.ts'
import type { AdminParts } from '../admin-parts.ts'
import { recordChange } from '../audit.ts'
import type { AdminContext } from '../authentication.ts'
import { requireVhost } from '../listings.ts'
import { vhostParams } from '../schemas.ts'
import { body, params } from '../validation.ts'
import { type PublishBody, publishBody } from './schemas.ts'

/** One message by hand, answered when it is on disk. */
export function addPublishing(app: Hono<AdminContext>, parts: AdminParts): void {
  app.post('/v1/publish/:vhost', async (context) => {
    const vhost = requireVhost(parts, params(context, vhostParams).vhost)
    const asked = await body(context, publishBody)
    const { exchange: name = '', routingKey } = asked
    const exchange = vhost.exchange(name)
    if (exchange === undefined) {
      throw new BrokerError('NOT_FOUND', `no exchange '${name}' in vhost '${vhost.name}'`)
    }
    const payload = Buffer.from(asked.body, asked.encoding ?? 'utf8')
    const header = vhost.form(NATIVE_FORM.AMQP091)?.encoded?.(propertiesOf(asked), payload.length)
    if (header === undefined) throw new BrokerError('UNAVAILABLE', 'no protocol has headers here')
    const draft = new MessageDraft()
    const address = encodeAddress(name, routingKey)
    draft.form = NATIVE_FORM.AMQP091
    draft.persistent = true
    draft.setAddress(address, 0, address.length)
    draft.setHeader(header, 0, header.length)
    draft.setBody(payload, 0, payload.length)
    draft.actor = {
      protocol: 'HTTP',
      connectionId: -1,
      connection: context.env.peer.address,
      user: context.get('user'),
      clientId: 'console',
    }
    const result = vhost.publish(vhost.routeMany(exchange, [routingKey], draft), draft)
    if (result === PUBLISH.REJECTED) {
      throw new BrokerError('LIMIT_EXCEEDED', 'a limit of its destination refuses the message')
    }
    await stored(parts)
    const { method, path } = context.req
    // Who and where to, not what: bodies may be anybody's secrets.
    const object = `exchange '${name}' by key '${routingKey}'`
    const peer = context.env.peer.address
    recordChange(parts, context.get('user'), { method, path, peer, object })
    return context.json({ routed: result !== PUBLISH.UNROUTED }, 201)
  })
}

function propertiesOf(asked: PublishBody): typeof NO_PROPERTIES {
  return {
    ...NO_PROPERTIES,
    contentType: asked.contentType ?? null,
    messageId: asked.messageId ?? null,
    correlationId: asked.correlationId === undefined ? null : Buffer.from(asked.correlationId),
    persistent: true,
    headers: Object.entries(asked.headers ?? {}).map(([name, value]) => ({ name, value })),
  }
}

async function stored({ broker }: AdminParts): Promise<void> {
  broker.requireSync()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  broker.onCommit({
    committed: (_ticket, cause) => {
      if (cause === null) resolve()
      else reject(new BrokerError('UNAVAILABLE', 'the message is not stored', { cause }))
    },
  })
  await promise
}
