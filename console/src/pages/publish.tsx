import type { JSX } from 'preact'
import { change, pathOf } from '../api.ts'
import type { Values } from '../parts/field.ts'
import { Form } from '../parts/form.tsx'
import { pairsOf } from '../parts/pairs.ts'
import { say } from '../words.ts'

interface PublishProps {
  readonly vhost: string
  readonly exchange: string
  readonly routingKey: string
}

/** One message by hand. */
export function Publish({ vhost, exchange, routingKey }: PublishProps): JSX.Element {
  const submit = async (values: Values): Promise<string> => {
    const { routed } = await change<{ routed: boolean }>('POST', `v1/publish/${pathOf(vhost)}`, {
      exchange: values['exchange'] ?? '',
      routingKey: values['routingKey'] ?? '',
      body: values['body'] ?? '',
      ...given('contentType', values),
      ...given('messageId', values),
      headers: pairsOf(values['headers'] ?? ''),
    })
    return say(routed ? 'publish.done' : 'publish.unrouted')
  }
  return (
    <section class="card">
      <h2>{say('tab.publish')}</h2>
      <Form
        label={say('tab.publish')}
        submit={say('publish.send')}
        onSubmit={submit}
        isKept
        fields={[
          {
            name: 'exchange',
            label: say('field.exchange'),
            value: exchange,
            hint: say('publish.exchange.hint'),
          },
          { name: 'routingKey', label: say('field.key'), value: routingKey },
          { name: 'contentType', label: say('publish.contentType'), value: 'text/plain' },
          { name: 'messageId', label: say('publish.messageId') },
          {
            name: 'headers',
            label: say('field.headers'),
            kind: 'area',
            hint: say('publish.headers.hint'),
          },
          { name: 'body', label: say('field.body'), kind: 'area' },
        ]}
      />
    </section>
  )
}

function given(name: string, values: Values): Readonly<Record<string, string>> {
  const value = values[name] ?? ''
  return value === '' ? {} : { [name]: value }
}
