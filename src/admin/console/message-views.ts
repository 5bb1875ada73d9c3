import type { StoredMessage } from '../../broker/stored-message.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import { exchangeOf, routingKeyOf } from '../../model/address.ts'
import type { CanonicalProperties } from '../../model/canonical-properties.ts'
import type { MessageView } from '../../model/shapes/messages.ts'
import { headerToShow } from '../views.ts'
import { BROWSE_BODY_BYTES_MAX } from './limits.ts'

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Copies out of the borrowed view. */
export function messageView(
  vhost: VirtualHost,
  offset: number,
  view: StoredMessage,
  bodyBytesMax: number = BROWSE_BODY_BYTES_MAX,
): MessageView {
  const { data, headerStart, headerEnd, addressStart, addressEnd, bodyStart, bodyEnd } = view
  const form = vhost.form(view.form)
  const canonical = form?.canonical(data, headerStart, headerEnd) ?? null
  return {
    offset,
    storedAtMs: view.timestampMs,
    expiresAtMs: view.expiresAtMs === 0 ? null : view.expiresAtMs,
    protocol: form?.name ?? null,
    exchange: exchangeOf(data, addressStart),
    routingKey: routingKeyOf(data, addressStart, addressEnd),
    properties: canonical === null ? {} : propertiesOf(canonical),
    headers: (canonical?.headers ?? []).map(({ name, value }) => {
      return { name, value: headerToShow(value) }
    }),
    bodyBytes: bodyEnd - bodyStart,
    ...bodyOf(
      data.subarray(bodyStart, Math.min(bodyEnd, bodyStart + bodyBytesMax)),
      bodyEnd - bodyStart > bodyBytesMax,
    ),
    deaths: view.annotations?.deaths ?? [],
  }
}

function propertiesOf(canonical: CanonicalProperties): MessageView['properties'] {
  const { headers: _headers, isText: _isText, ...rest } = canonical
  const shown: Record<string, string | number | boolean> = {}
  for (const [name, value] of Object.entries(rest)) {
    if (value === null) continue
    shown[name] = typeof value === 'object' ? textOf(value) : value
  }
  return shown
}

function textOf(bytes: Uint8Array): string {
  const { body, encoding } = bodyOf(bytes, false)
  return encoding === 'utf8' ? body : `base64:${body}`
}

/** A character that was cut at the end makes no text of octets. */
function bodyOf(bytes: Uint8Array, isCut: boolean): Pick<MessageView, 'body' | 'encoding'> {
  for (let cut = 0; cut < 4 && cut <= bytes.length; cut++) {
    try {
      return { body: UTF8.decode(bytes.subarray(0, bytes.length - cut)), encoding: 'utf8' }
    } catch {
      // No text, or not yet: a character has four bytes at most.
      if (!isCut) break
    }
  }
  return { body: Buffer.from(bytes).toString('base64'), encoding: 'base64' }
}
