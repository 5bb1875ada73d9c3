import type { z } from 'zod'
import { objectsQuery } from '../metrics/metrics.ts'
import { moveBody, recurringBody, schedulesQuery } from '../schedule-schemas.ts'
import {
  changedDestinationBody,
  changedUserBody,
  changedVhostBody,
  deleteQuery,
  deliveriesBody,
  limitsBody,
  newUserBody,
  permissionsBody,
  policyBody,
  redriveBody,
  topicPermissionsBody,
  topicPermissionsQuery,
  settleBody,
  vhostQuery,
} from '../schemas.ts'
import { callBody, instanceBody, instancesQuery, servicePageQuery } from '../services/schemas.ts'
import { traceMessagesQuery, traceRuleBody, whereQuery, whyQuery } from '../trace-schemas.ts'

/** What is said of one method of one path; the schemas are those its handler validates by. */
export interface Operation {
  readonly summary: string
  readonly query?: z.ZodType
  readonly body?: z.ZodType
  /** Of success. Default 200. */
  readonly status?: number
  /** Needs no login. Default false. */
  readonly isPublic?: boolean
  /** What it answers with. Default JSON. */
  readonly contentType?: string
}

const DONE = { status: 204 }
const MADE = { status: 201 }
const BEGUN = { status: 202 }

/** By method and path, as they are registered. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  'GET /health/live': { summary: 'Whether the process answers', isPublic: true },
  'GET /health/ready': { summary: 'Whether messages are taken; 503: not now', isPublic: true },
  'GET /metrics': { summary: 'Metrics for Prometheus', contentType: 'text/plain' },
  'GET /metrics/per-object': {
    summary: 'Metrics of single queues and topics, a page at a time',
    query: objectsQuery,
    contentType: 'text/plain',
  },
  'GET /v1/openapi.json': { summary: 'This document', isPublic: true },
  'GET /v1/status': { summary: 'What runs, and how it is' },
  'GET /v1/vhosts': list('virtual hosts'),
  'GET /v1/destinations': list('queues and topics'),
  'GET /v1/subscriptions': list('subscriptions of topics, with their lag'),
  'GET /v1/consumers': list('consumers, with what keeps messages from them'),
  'GET /v1/transactions': list('transactional ids'),
  'GET /v1/services': list('services, a line for each instance'),
  'GET /v1/services/:vhost/:service': { summary: 'Show a service, its instances and methods' },
  'POST /v1/services/:vhost/:service/:method': {
    summary: 'Call a method with JSON; each answer is a line, and so is the status at the end',
    body: callBody,
    contentType: 'application/x-ndjson',
  },
  'GET /v1/instances/:vhost': {
    summary: 'List instances of services, attached or registered',
    query: instancesQuery,
  },
  'PUT /v1/instances/:vhost/:service/:instance': {
    summary: 'Register an instance that listens, or renew it',
    body: instanceBody,
  },
  'DELETE /v1/instances/:vhost/:service/:instance': {
    summary: 'Take an instance that listens out of the registry',
    ...DONE,
  },
  'GET /v1/pages/services': { summary: 'List services in pages', query: servicePageQuery },
  'GET /v1/exchanges': list('exchanges'),
  'GET /v1/bindings': list('bindings'),
  'GET /v1/policies': list('policies'),
  'GET /v1/users': { summary: 'List users' },
  'GET /v1/permissions': list('permissions'),
  'GET /v1/topic-permissions': list('permissions by routing key'),
  'GET /v1/connections': list('connections of every protocol'),
  'DELETE /v1/connections/:id': { summary: 'Close a connection', ...DONE },
  'PUT /v1/vhosts/:vhost': { summary: 'Make a virtual host', ...MADE },
  'PATCH /v1/vhosts/:vhost': {
    summary: 'Change a virtual host',
    body: changedVhostBody,
    ...DONE,
  },
  'DELETE /v1/vhosts/:vhost': { summary: 'Delete a virtual host with all in it', ...DONE },
  'PUT /v1/vhosts/:vhost/limits': {
    summary: 'Replace the limits of a virtual host',
    body: limitsBody,
    ...DONE,
  },
  'DELETE /v1/vhosts/:vhost/limits': { summary: 'Take its limits away', ...DONE },
  'PUT /v1/users/:user': { summary: 'Make a user', body: newUserBody, ...MADE },
  'PATCH /v1/users/:user': { summary: 'Change a user', body: changedUserBody, ...DONE },
  'DELETE /v1/users/:user': { summary: 'Remove a user and close its connections', ...DONE },
  'PUT /v1/users/:user/limits': {
    summary: 'Set limits of a user; those not named stay',
    body: limitsBody,
    ...DONE,
  },
  'DELETE /v1/users/:user/limits': { summary: 'Take its limits away', ...DONE },
  'PUT /v1/permissions/:vhost/:user': {
    summary: 'Let a user into a virtual host',
    body: permissionsBody,
    ...DONE,
  },
  'DELETE /v1/permissions/:vhost/:user': { summary: 'Keep it out', ...DONE },
  'PUT /v1/topic-permissions/:vhost/:user': {
    summary: 'Narrow what a user may do with a topic exchange by routing key',
    body: topicPermissionsBody,
    ...DONE,
  },
  'DELETE /v1/topic-permissions/:vhost/:user': {
    summary: 'Narrow it no more',
    query: topicPermissionsQuery,
    ...DONE,
  },
  'PUT /v1/policies/:vhost/:policy': { summary: 'Set a policy', body: policyBody, ...DONE },
  'DELETE /v1/policies/:vhost/:policy': { summary: 'Delete a policy', ...DONE },
  'DELETE /v1/destinations/:vhost/:destination': {
    summary: 'Delete a queue or topic',
    query: deleteQuery,
  },
  'PATCH /v1/destinations/:vhost/:destination': {
    summary: 'Change arguments, partitions or profile of a queue or topic in use',
    body: changedDestinationBody,
  },
  'POST /v1/destinations/:vhost/:destination/deliveries': {
    summary: 'Consume: lines of JSON, the first with the id of the stream, then one a delivery',
    body: deliveriesBody,
    contentType: 'application/x-ndjson',
  },
  'POST /v1/deliveries/:id/settle': {
    summary: 'Settle deliveries of a stream up to a tag',
    body: settleBody,
    ...DONE,
  },
  'POST /v1/destinations/:vhost/:destination/purge': { summary: 'Drop what waits' },
  'POST /v1/destinations/:vhost/:destination/redrive': {
    summary: 'Move messages back to where they died, or elsewhere',
    body: redriveBody,
    ...BEGUN,
  },
  'GET /v1/redrives': { summary: 'List re-drives' },
  'GET /v1/redrives/:id': { summary: 'How far a re-drive is' },
  'POST /v1/redrives/:id/resume': { summary: 'Go on with a re-drive that stopped', ...BEGUN },
  'DELETE /v1/redrives/:id': { summary: 'Cancel a re-drive', ...DONE },
  'POST /v1/backups': { summary: 'Hold the store as it is, to be copied', ...MADE },
  'PUT /v1/backups/:id': { summary: 'Say that the copy is still being made', ...DONE },
  'DELETE /v1/backups/:id': { summary: 'The copy is made', ...DONE },
  'GET /v1/schedules/:vhost': {
    summary: 'List messages that wait for their time',
    query: schedulesQuery,
  },
  'GET /v1/schedules/:vhost/:id': { summary: 'Show one of them' },
  'PATCH /v1/schedules/:vhost/:id': { summary: 'Move it in time', body: moveBody, ...DONE },
  'POST /v1/schedules/:vhost/:id/fire': { summary: 'Send it now', ...DONE },
  'DELETE /v1/schedules/:vhost/:id': { summary: 'Cancel it', ...DONE },
  'GET /v1/recurring': list('recurring schedules'),
  'GET /v1/recurring/:vhost/:id': { summary: 'Show one of them' },
  'PUT /v1/recurring/:vhost/:id': {
    summary: 'Send a message by a cron expression',
    body: recurringBody,
    ...MADE,
  },
  'POST /v1/recurring/:vhost/:id/fire': { summary: 'Send it now too', ...DONE },
  'DELETE /v1/recurring/:vhost/:id': { summary: 'Delete it', ...DONE },
  'POST /v1/traces': { summary: 'Follow messages', body: traceRuleBody, ...MADE },
  'GET /v1/traces': { summary: 'List which messages are followed' },
  'GET /v1/traces/messages': {
    summary: 'What became of traced messages',
    query: traceMessagesQuery,
  },
  'DELETE /v1/traces/:id': { summary: 'Follow no more', ...DONE },
  'GET /v1/where/:vhost': { summary: 'Find a message by its id', query: whereQuery },
  'GET /v1/why/:vhost': { summary: 'Why somebody gets nothing', query: whyQuery },
}

function list(what: string): Operation {
  return { summary: `List ${what}`, query: vhostQuery }
}
