import type { JSX } from 'preact'
import type { CallEnd, CallEvent, MetadataPair } from '../../../src/model/shapes/services.ts'
import { countText } from '../numbers.ts'
import { Notice } from '../parts/notice.tsx'
import { say } from '../words.ts'

/** So many of a long answer are drawn; the newest is what one waits for. */
const SHOWN_MAX = 200

/** What came of a call so far. */
export function CallAnswer({
  events,
  isRunning,
}: {
  readonly events: readonly CallEvent[]
  readonly isRunning: boolean
}): JSX.Element {
  const messages = events.filter((event) => event.kind === 'message')
  const head = events.find((event) => event.kind === 'head')
  const end = events.find((event) => event.kind === 'status')
  return (
    <section class="card answer" aria-label={say('try.answer')}>
      <h2>
        {say('try.answer')}{' '}
        {messages.length > 1 && <span class="badge">{countText(messages.length)}</span>}
      </h2>
      {end === undefined ? (
        <p class="soft" role="status">
          {say(isRunning ? 'try.running' : 'try.cancelled')}
        </p>
      ) : (
        <End end={end} />
      )}
      {head !== undefined && <Pairs title={say('try.head')} pairs={head.metadata} />}
      {messages.slice(-SHOWN_MAX).map((message, at) => (
        <pre key={at} tabIndex={0}>
          {'base64' in message
            ? `base64: ${message.base64}`
            : JSON.stringify(message.value, null, 2)}
        </pre>
      ))}
      {end !== undefined && end.trailers.length > 0 && (
        <Pairs title={say('try.trailers')} pairs={end.trailers} />
      )}
    </section>
  )
}

function End({ end }: { readonly end: CallEnd }): JSX.Element {
  const { code, message, details, tookMs } = end
  return (
    <>
      <Notice kind={code === 'OK' ? 'good' : 'bad'}>
        <b>{code}</b> {message} <small>{say('unit.ms', { value: tookMs })}</small>
      </Notice>
      {details.length > 0 && <h3>{say('field.detail')}</h3>}
      {details.map((detail, at) => (
        <div key={at}>
          <code>{detail.type}</code>
          <pre tabIndex={0}>
            {'base64' in detail
              ? `base64: ${detail.base64}`
              : JSON.stringify(detail.value, null, 2)}
          </pre>
        </div>
      ))}
    </>
  )
}

function Pairs({
  title,
  pairs,
}: {
  readonly title: string
  readonly pairs: readonly MetadataPair[]
}): JSX.Element {
  return (
    <>
      <h3>{title}</h3>
      <pre tabIndex={0}>{pairs.map(([name, value]) => `${name}: ${value}`).join('\n')}</pre>
    </>
  )
}
