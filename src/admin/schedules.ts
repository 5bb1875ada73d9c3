import type { Hono } from 'hono'
import type { RecurringSpec, RecurringView } from '../broker/recurring-schedules.ts'
import { BrokerError } from '../model/errors.ts'
import { NO_PROPERTIES } from '../model/canonical-properties.ts'
import { NATIVE_FORM } from '../model/native-form.ts'
import { checkedScheduleId, SCHEDULE_HEADER } from '../model/schedule-order.ts'
import type { AdminParts } from './admin-parts.ts'
import type { AdminContext } from './authentication.ts'
import { requireVhost } from './listings.ts'
import { stored } from './stored.ts'
import { vhostParams, vhostQuery } from './schemas.ts'
import {
  moveBody,
  type RecurringBody,
  recurringBody,
  scheduleParams,
  schedulesQuery,
} from './schedule-schemas.ts'
import { body, params, query } from './validation.ts'

const PAGE_COUNT = 50

/** Messages that wait for their time: list, look, cancel, move, fire. */
export function addSchedules(app: Hono<AdminContext>, parts: AdminParts): void {
  app.get('/v1/schedules/:vhost', async (context) => {
    const { schedules } = requireVhost(parts, params(context, vhostParams).vhost)
    const { from = 0, limit = PAGE_COUNT } = query(context, schedulesQuery)
    const page = await schedules.page(from, limit)
    return context.json({ ...page, pending: schedules.pendingCount })
  })
  app.get('/v1/schedules/:vhost/:id', async (context) => {
    const { vhost, id } = params(context, scheduleParams)
    const found = await requireVhost(parts, vhost).schedules.show(id)
    if (found === null) throw nothingWaits(vhost, id)
    return context.json(found)
  })
  app.patch('/v1/schedules/:vhost/:id', async (context) => {
    const { vhost, id } = params(context, scheduleParams)
    const { dueMs, afterMs = 0 } = await body(context, moveBody)
    const { schedules } = requireVhost(parts, vhost)
    const isMoved = schedules.move(id, dueMs ?? parts.broker.clock.now() + afterMs)
    if (!isMoved) throw nothingWaits(vhost, id)
    await stored(parts.broker)
    return context.body(null, 204)
  })
  app.post('/v1/schedules/:vhost/:id/fire', async (context) => {
    const { vhost, id } = params(context, scheduleParams)
    if (!requireVhost(parts, vhost).schedules.fire(id)) throw nothingWaits(vhost, id)
    await stored(parts.broker)
    return context.body(null, 204)
  })
  app.delete('/v1/schedules/:vhost/:id', async (context) => {
    const { vhost, id } = params(context, scheduleParams)
    if (!requireVhost(parts, vhost).schedules.cancel(id)) throw nothingWaits(vhost, id)
    await stored(parts.broker)
    return context.body(null, 204)
  })
  addRecurring(app, parts)
}

function addRecurring(app: Hono<AdminContext>, parts: AdminParts): void {
  app.get('/v1/recurring', (context) => {
    const { vhost } = query(context, vhostQuery)
    const { broker } = parts
    const hosts = vhost === undefined ? [...broker.vhosts()] : [requireVhost(parts, vhost)]
    return context.json(
      hosts.flatMap((host) => {
        return host.schedules.recurring.list().map((each) => recurringView(host.name, each))
      }),
    )
  })
  app.get('/v1/recurring/:vhost/:id', (context) => {
    const { vhost, id } = params(context, scheduleParams)
    const found = requireVhost(parts, vhost).schedules.recurring.get(id)
    if (found === null) throw noRecurring(vhost, id)
    return context.json(recurringView(vhost, found))
  })
  app.put('/v1/recurring/:vhost/:id', async (context) => {
    const { vhost, id } = params(context, scheduleParams)
    const asked = await body(context, recurringBody)
    const host = requireVhost(parts, vhost)
    const name = checkedScheduleId(id)
    const payload = Buffer.from(asked.message.body ?? '', asked.message.encoding ?? 'utf8')
    const header = host
      .form(NATIVE_FORM.AMQP091)
      ?.encoded?.(propertiesOf(name, asked.message), payload.length)
    if (header === undefined) throw new BrokerError('UNAVAILABLE', 'no protocol has headers here')
    const spec = specOf(name, asked, parts.broker.clock.now())
    const put = host.schedules.recurring.put(spec, header, payload)
    await stored(parts.broker)
    return context.json(recurringView(vhost, put), 201)
  })
  app.post('/v1/recurring/:vhost/:id/fire', async (context) => {
    const { vhost, id } = params(context, scheduleParams)
    if (!requireVhost(parts, vhost).schedules.recurring.fire(id)) throw noRecurring(vhost, id)
    await stored(parts.broker)
    return context.body(null, 204)
  })
  app.delete('/v1/recurring/:vhost/:id', async (context) => {
    const { vhost, id } = params(context, scheduleParams)
    if (!requireVhost(parts, vhost).schedules.recurring.delete(id)) throw noRecurring(vhost, id)
    await stored(parts.broker)
    return context.body(null, 204)
  })
}

function specOf(name: string, asked: RecurringBody, createdMs: number): RecurringSpec {
  const { message } = asked
  return {
    name,
    cron: asked.cron,
    zone: asked.zone ?? 'UTC',
    exchange: asked.exchange ?? '',
    routingKey: asked.routingKey,
    startMs: asked.startMs ?? null,
    endMs: asked.endMs ?? null,
    countMax: asked.count ?? null,
    missed: asked.missed ?? 'skip',
    createdMs,
    form: NATIVE_FORM.AMQP091,
    persistent: message.persistent ?? true,
    priority: message.priority ?? 0,
    ttlMs: message.ttlMs ?? -1,
  }
}

function propertiesOf(name: string, message: RecurringBody['message']): typeof NO_PROPERTIES {
  const headers = Object.entries(message.headers ?? {})
  return {
    ...NO_PROPERTIES,
    contentType: message.contentType ?? null,
    correlationId: message.correlationId === undefined ? null : Buffer.from(message.correlationId),
    replyTo: message.replyTo ?? null,
    messageId: message.messageId ?? null,
    type: message.type ?? null,
    appId: message.appId ?? null,
    priority: message.priority ?? null,
    persistent: message.persistent ?? true,
    headers: [...headers, [SCHEDULE_HEADER.ID, name] as const].map(([key, value]) => {
      return { name: key, value }
    }),
  }
}

function recurringView(vhost: string, view: RecurringView): object {
  const { form: _form, ttlMs, ...rest } = view
  return { vhost, ...rest, ttlMs: ttlMs < 0 ? null : ttlMs }
}

function nothingWaits(vhost: string, id: string): BrokerError {
  return new BrokerError('NOT_FOUND', `nothing waits under '${id}' in vhost '${vhost}'`)
}

function noRecurring(vhost: string, name: string): BrokerError {
  return new BrokerError('NOT_FOUND', `no recurring schedule '${name}' in vhost '${vhost}'`)
}
