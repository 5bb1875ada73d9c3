import type { Hono } from 'hono'
import { requirePermission } from '../../auth/index.ts'
import { BrokerError } from '../../model/errors.ts'
import { CallRights } from '../../rpc/call-rights.ts'
import { Metadata } from '../../rpc/metadata.ts'
import type { AdminParts } from '../admin-parts.ts'
import type { AdminContext } from '../authentication.ts'
import { requireVhost } from '../listings.ts'
import { body, InvalidRequest, params } from '../validation.ts'
import { makeCall } from './hand-call.ts'
import { CALLS_BY_HAND_MAX } from './limits.ts'
import { type CallBody, callBody, methodParams } from './schemas.ts'

/** Calls by hand, with the rights of whoever makes them; the answer is lines of JSON as they come. */
export function addCalls(app: Hono<AdminContext>, parts: AdminParts): void {
  let openCount = 0
  app.post('/v1/services/:vhost/:service/:method', async (context) => {
    const { vhost, service, method } = params(context, methodParams)
    const { messages = [{}], deadlineMs, metadata, isOneWay } = await body(context, callBody)
    const host = requireVhost(parts, vhost)
    const { rpcCore } = parts
    if (rpcCore === undefined) throw new BrokerError('NOT_FOUND', 'nothing serves calls here')
    const path = `/${service}/${method}`
    requireRight(parts, { principal: context.get('principal'), vhost, path })
    if (openCount >= CALLS_BY_HAND_MAX) {
      const text = `${openCount} calls by hand are open, which is the limit`
      throw new BrokerError('UNAVAILABLE', text)
    }
    const options = {
      clock: rpcCore.clock,
      callee: rpcCore.host(host.name).relay,
      path,
      metadata: metadataOf(metadata),
      isOneWay: isOneWay ?? false,
      deadlineMs: deadlineMs ?? null,
      messages,
      onEnd: () => {
        openCount -= 1
      },
    }
    openCount += 1
    return new Response(makeCall(options), {
      headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
    })
  })
}

/** Throws `ACCESS_REFUSED`: over HTTP nobody may call what he may not call as a client. */
function requireRight(
  { users }: AdminParts,
  {
    principal,
    vhost,
    path,
  }: { readonly principal: string | null; readonly vhost: string; readonly path: string },
): void {
  if (principal === null) return
  const rights = new CallRights((name, kind) => {
    requirePermission(users, { user: principal, vhost, resource: 'queue', name, kind })
  }, 1)
  const refusal = rights.refusalOf(path)
  if (refusal !== null) throw new BrokerError('ACCESS_REFUSED', refusal.message)
}

/** Values of names that end in `-bin` are base64. */
function metadataOf(given: CallBody['metadata'] = {}): Metadata {
  const entries = Object.entries(given).map(([name, value]) => {
    const isBinary = name.toLowerCase().endsWith('-bin')
    return [name, isBinary ? Buffer.from(value, 'base64') : value] as const
  })
  try {
    return Metadata.from(entries)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new InvalidRequest(`body: metadata: ${cause.message}`, { cause })
  }
}
