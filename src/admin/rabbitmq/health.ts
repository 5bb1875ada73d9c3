import type { Asked } from './operator.ts'
import { listenerViews } from './overview.ts'
import { NODE, type RabbitParts } from './parts.ts'
import { badRequest } from './refusal.ts'
import type { Routes } from './routes.ts'

/** Other ways in which RabbitMQ's users name a protocol. */
const PROTOCOLS: Readonly<Record<string, string>> = {
  amqp091: 'amqp',
  'amqp0.9.1': 'amqp',
  'amqp0-9-1': 'amqp',
  amqps: 'amqp/ssl',
  mqtts: 'mqtt/ssl',
  'web-mqtt': 'http/web-mqtt',
  'web-mqtts': 'https/web-mqtt',
  kafkas: 'kafka/ssl',
}

/** Checks that answer 503 where something is wrong. */
export function addHealthChecks(routes: Routes, parts: RabbitParts): void {
  const { broker } = parts
  const failed = (asked: Asked, reason: string, more: object): Response => {
    return asked.json({ status: 'failed', reason, ...more }, 503)
  }
  const alarms = (reason: string) => {
    return (asked: Asked): Response => {
      const { alarm, isMemoryLow, storeAlarm } = broker.pressure
      if (alarm === null) return asked.json({ status: 'ok' })
      const resources = [
        ...(isMemoryLow ? [{ node: NODE, resource: 'memory', text: alarm }] : []),
        ...(storeAlarm === null ? [] : [{ node: NODE, resource: 'disk', text: alarm }]),
      ]
      return failed(asked, reason, { alarms: resources })
    }
  }
  const ok = (more: object = {}) => {
    return (asked: Asked): Response => asked.json({ status: 'ok', ...more })
  }
  const single = ok({ reason: 'single node cluster' })
  const path = '/health/checks'
  routes.add('GET', `${path}/alarms`, alarms('There are alarms in effect in the cluster'))
  routes.add('GET', `${path}/local-alarms`, alarms('There are alarms in effect on the node'))
  routes.add('GET', `${path}/virtual-hosts`, ok())
  routes.add('GET', `${path}/node-is-quorum-critical`, single)
  routes.add('GET', `${path}/node-is-mirror-sync-critical`, single)
  routes.add('GET', `${path}/ready-to-serve-clients`, ok())
  routes.add('GET', `${path}/is-in-service`, ok())
  routes.add('GET', `${path}/certificate-expiration/:within/:unit`, ok())
  routes.add('GET', '/healthchecks/node', alarms('There are alarms in effect on the node'))
  routes.add('GET', '/healthchecks/node/:node', alarms('There are alarms in effect on the node'))
  routes.add('GET', `${path}/port-listener/:port`, (asked) => {
    const port = Number(asked.req.param('port'))
    if (!Number.isSafeInteger(port)) throw badRequest('Invalid port')
    const ports = listenerViews(parts).map((each) => each.port)
    if (ports.includes(port)) return asked.json({ status: 'ok', port })
    return failed(asked, 'No active listener', { missing: port, ports })
  })
  routes.add('GET', `${path}/protocol-listener/:protocol`, (asked) => {
    const given = asked.req.param('protocol') ?? ''
    const protocol = PROTOCOLS[given.toLowerCase()] ?? given
    const protocols = [...new Set(listenerViews(parts).map((each) => each.protocol))]
    if (protocols.includes(protocol)) return asked.json({ status: 'ok', protocol })
    return failed(asked, 'No active listener', { missing: given, protocols })
  })
}
