import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { CallEvent, ServiceDetails } from '../../../src/model/shapes/services.ts'
import { changeByLines, pathOf } from '../api.ts'
import { messageOf } from '../fetched.ts'
import type { Field, Values } from '../parts/field.ts'
import { Form } from '../parts/form.tsx'
import { Failure } from '../parts/notice.tsx'
import { pairsOf } from '../parts/pairs.ts'
import { say } from '../words.ts'
import { CallAnswer } from './call-answer.tsx'
import { exampleOf, fieldsOf, type Schema, type SchemaField } from './json-schema.ts'

type Methods = NonNullable<ServiceDetails['methods']>

interface TryCallProps {
  readonly vhost: string
  readonly service: string
  /** Null: the provider does not say. */
  readonly methods: Methods | null
}

/** Calls a method of the service, with a form that comes from its contract, or with JSON. */
export function TryCall({ vhost, service, methods }: TryCallProps): JSX.Element {
  const names = Object.keys(methods ?? {})
  const [chosen, setChosen] = useState('')
  const [isJson, setJson] = useState(false)
  const method = chosen === '' ? (names[0] ?? '') : chosen
  const said = methods?.[method]
  const schema = (said?.in ?? null) as Schema | null
  const isStream = said?.kind === 'clientStream' || said?.kind === 'bidi'
  const inputs = schema === null || isStream ? null : fieldsOf(schema)
  const form = isJson ? null : inputs
  return (
    <>
      <section class="card">
        <h2>{say('try.title')}</h2>
        <div class="filters">
          {names.length > 0 ? (
            <label>
              {say('try.method')}
              <select value={method} onChange={(event) => setChosen(event.currentTarget.value)}>
                {names.map((name) => (
                  <option key={name} value={name}>
                    {name}
                  </option>
                ))}
              </select>
            </label>
          ) : (
            <label>
              {say('try.method')}
              <input value={chosen} onInput={(event) => setChosen(event.currentTarget.value)} />
            </label>
          )}
          {inputs !== null && (
            <label class="check">
              <input
                type="checkbox"
                checked={isJson}
                onChange={(event) => setJson(event.currentTarget.checked)}
              />{' '}
              {say('try.asJson')}
            </label>
          )}
        </div>
        {methods === null && <p class="soft">{say('try.noContract')}</p>}
      </section>
      <Caller
        key={`${methods === null ? '' : method} ${isJson}`}
        path={`v1/services/${pathOf(vhost, service, method)}`}
        inputs={form}
        schema={schema}
        isOneWay={said?.kind === 'oneway'}
        isStream={isStream || said === undefined}
        deadlineMs={said?.deadlineMs ?? null}
      />
    </>
  )
}

interface CallerProps {
  readonly path: string
  /** Null: JSON is written. */
  readonly inputs: readonly SchemaField[] | null
  readonly schema: Schema | null
  readonly isOneWay: boolean
  /** Several messages may be sent. */
  readonly isStream: boolean
  readonly deadlineMs: number | null
}

const DEADLINE_MS = 10_000

function Caller(props: CallerProps): JSX.Element {
  const { path, inputs, isOneWay, deadlineMs } = props
  const [events, setEvents] = useState<readonly CallEvent[] | null>(null)
  const [failure, setFailure] = useState<string | null>(null)
  const running = useRef<AbortController | null>(null)
  const [isRunning, setRunning] = useState(false)
  // Whoever goes elsewhere waits no longer.
  useEffect(() => () => running.current?.abort(), [])
  const submit = async (values: Values): Promise<null> => {
    const asked = {
      messages: inputs === null ? messagesOf(values['json'] ?? '') : [messageFrom(inputs, values)],
      deadlineMs: Math.round(Number(values['deadline'] ?? '0') * 1000),
      metadata: pairsOf(values['metadata'] ?? ''),
      isOneWay,
    }
    const controller = new AbortController()
    running.current = controller
    setFailure(null)
    setEvents([])
    setRunning(true)
    try {
      await changeByLines<CallEvent>('POST', path, asked, {
        signal: controller.signal,
        onLines: (lines) => setEvents((old) => [...(old ?? []), ...lines]),
      })
    } catch (error) {
      if (!controller.signal.aborted) {
        setEvents(null)
        setFailure(messageOf(error))
      }
    } finally {
      setRunning(false)
    }
    return null
  }
  return (
    <>
      <section class="card">
        <Form
          label={say('try.title')}
          submit={say('try.call')}
          isKept
          onSubmit={submit}
          fields={[
            ...(inputs === null ? [jsonField(props)] : inputs.map(({ field }) => field)),
            {
              name: 'deadline',
              label: say('try.deadline'),
              kind: 'number',
              value: String((deadlineMs ?? DEADLINE_MS) / 1000),
              isRequired: true,
            },
            {
              name: 'metadata',
              label: say('try.metadata'),
              kind: 'area',
              hint: say('publish.headers.hint'),
            },
          ]}
        />
        {isRunning && (
          <button type="button" onClick={() => running.current?.abort()}>
            {say('app.cancel')}
          </button>
        )}
        <Failure reason={failure} />
      </section>
      {events !== null && <CallAnswer events={events} isRunning={isRunning} />}
    </>
  )
}

function jsonField({ schema, isStream }: CallerProps): Field {
  const example = schema === null ? {} : exampleOf(schema)
  return {
    name: 'json',
    label: say('try.message'),
    kind: 'area',
    value: JSON.stringify(example, null, isStream ? 0 : 2),
    ...(isStream ? { hint: say('try.stream.hint') } : {}),
  }
}

/** One message over any number of lines, or one each line. */
function messagesOf(text: string): unknown[] {
  try {
    return [JSON.parse(text)]
  } catch (error) {
    const lines = text.split('\n').filter((line) => line.trim() !== '')
    if (lines.length === 1) throw error
    return lines.map((line) => JSON.parse(line) as unknown)
  }
}

function messageFrom(inputs: readonly SchemaField[], values: Values): object {
  const entries = inputs.map(({ name, field, read }) => [name, read(values[field.name])] as const)
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
}
