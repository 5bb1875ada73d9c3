import type { HeaderMap, HeaderValue } from '../../model/header-value.ts'
import type { NativeForm } from '../../model/native-form.ts'
import { cut, type TraceNames } from './trace-log.ts'

/** Headers that carry a message id where the protocol has no property for it. */
const ID_HEADERS = ['message-id', 'amqp-message-id', 'messageId'] as const

const HEX_ONLY = /[^\x20-\x7e]/

/** By what a message may be asked for later; nothing else of its header is kept. */
export function namesOf(
  vhost: string,
  form: NativeForm | undefined,
  { header, start, end }: { readonly header: Buffer; readonly start: number; readonly end: number },
): TraceNames {
  if (form === undefined) {
    return namelessIn(vhost)
  }
  const headers = form.headers(header, start, end)
  const own = form.property(header, start, end, 'message-id')
  const correlation = form.property(header, start, end, 'correlation-id') ?? ''
  if (own === null && correlation === '' && (headers === null || headers.size === 0)) {
    return namelessIn(vhost)
  }
  return {
    vhost,
    messageId: cut(own ?? firstOf(headers, ID_HEADERS)),
    // Octets of MQTT that are no text.
    correlationId: cut(
      HEX_ONLY.test(correlation) ? Buffer.from(correlation, 'latin1').toString('hex') : correlation,
    ),
    traceparent: cut(firstOf(headers, ['traceparent'])),
    tracestate: cut(firstOf(headers, ['tracestate'])),
  }
}

/** The same for all of one virtual host that come after one another. */
let nameless: TraceNames | null = null

function namelessIn(vhost: string): TraceNames {
  if (nameless?.vhost !== vhost) {
    nameless = { vhost, messageId: '', correlationId: '', traceparent: '', tracestate: '' }
  }
  return nameless
}

function firstOf(headers: HeaderMap | null, wanted: readonly string[]): string {
  if (headers === null) return ''
  for (const name of wanted) {
    const text = textOf(headers.get(name))
    if (text !== '') return text
  }
  return ''
}

function textOf(value: HeaderValue | undefined): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : ''
}
