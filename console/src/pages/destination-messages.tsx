import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { DestinationDetails } from '../../../src/model/shapes/destinations.ts'
import type { MessagePage, MessageView } from '../../../src/model/shapes/messages.ts'
import { pathOf } from '../api.ts'
import { useFetched } from '../fetched.ts'
import { bytesText, countText, timeText } from '../numbers.ts'
import { Facts } from '../parts/facts.tsx'
import { Failure } from '../parts/notice.tsx'
import { Steps } from '../parts/steps.tsx'
import { say } from '../words.ts'

const PAGE_MESSAGES = 10

/** Shows what is in it and takes nothing out. */
export function Messages({ details }: { readonly details: DestinationDetails }): JSX.Element {
  const { vhost, name, partitionList } = details
  const [partition, setPartition] = useState(0)
  /** Where the pages before this one began. */
  const [starts, setStarts] = useState<readonly number[]>([0])
  const page = useFetched<MessagePage>(`v1/destinations/${pathOf(vhost, name)}/messages`, {
    partition,
    from: starts.at(-1) ?? 0,
    limit: PAGE_MESSAGES,
  })
  const next = page.value?.next ?? null
  return (
    <section class="card">
      <h2>{say('tab.messages')}</h2>
      <p class="soft">{say('messages.hint')}</p>
      <div class="buttons">
        {partitionList.length > 1 && (
          <label>
            {say('field.partition')}
            <select
              value={String(partition)}
              onChange={(event) => {
                setPartition(Number(event.currentTarget.value))
                setStarts([0])
              }}
            >
              {partitionList.map(({ index }) => (
                <option key={index} value={String(index)}>
                  {index}
                </option>
              ))}
            </select>
          </label>
        )}
        <button type="button" onClick={page.again}>
          {say('app.refresh')}
        </button>
        <Steps starts={starts} next={next} onStarts={setStarts} />
      </div>
      <Failure reason={page.error} />
      {page.value?.messages.length === 0 && <p class="empty">{say('messages.none')}</p>}
      <ol class="messages">
        {page.value?.messages.map((message) => (
          <li key={message.offset}>
            <MessageCard message={message} />
          </li>
        ))}
      </ol>
    </section>
  )
}

function MessageCard({ message }: { readonly message: MessageView }): JSX.Element {
  const { offset, storedAtMs, protocol, exchange, routingKey, properties, headers } = message
  const { bodyBytes, body, encoding, deaths } = message
  return (
    <details class="message">
      <summary>
        <b>#{offset}</b> <time>{timeText(storedAtMs)}</time>
        <span class="badge">{protocol ?? '–'}</span> <code>{preview(body)}</code>
      </summary>
      <dl class="facts">
        <dt>{say('field.exchange')}</dt>
        <dd>{exchange === '' ? say('exchange.default') : exchange}</dd>
        <dt>{say('field.key')}</dt>
        <dd>{routingKey}</dd>
        <dt>{say('field.size')}</dt>
        <dd>
          {bytesText(bodyBytes)} ({countText(bodyBytes)})
        </dd>
      </dl>
      <h3>{say('field.properties')}</h3>
      <Facts values={properties} />
      {headers.length > 0 && (
        <>
          <h3>{say('field.headers')}</h3>
          <Facts values={Object.fromEntries(headers.map(({ name, value }) => [name, value]))} />
        </>
      )}
      {deaths.length > 0 && (
        <>
          <h3>{say('field.deaths')}</h3>
          <ul class="reasons">
            {deaths.map((death, index) => (
              <li key={index}>
                <code>{JSON.stringify(death)}</code>
              </li>
            ))}
          </ul>
        </>
      )}
      <h3>
        {say('field.body')} {encoding === 'base64' && <span class="badge">base64</span>}
      </h3>
      <pre tabIndex={0}>{pretty(body)}</pre>
    </details>
  )
}

function preview(body: string): string {
  return body.length > 80 ? `${body.slice(0, 80)} …` : body
}

function pretty(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2)
  } catch {
    // It is no JSON: as it is.
    return body
  }
}
