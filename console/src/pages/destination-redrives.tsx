import type { JSX } from 'preact'
import type { DestinationDetails } from '../../../src/model/shapes/destinations.ts'
import { change, pathOf } from '../api.ts'
import { useFetched } from '../fetched.ts'
import { countText } from '../numbers.ts'
import { Action } from '../parts/action.tsx'
import type { Values } from '../parts/field.ts'
import { Form } from '../parts/form.tsx'
import { Failure } from '../parts/notice.tsx'
import { say } from '../words.ts'

interface Redrive {
  readonly id: number
  readonly vhost: string
  readonly queue: string
  readonly dryRun: boolean
  readonly state: 'running' | 'done' | 'cancelled' | 'failed' | 'interrupted'
  readonly waiting: number
  readonly looked: number
  readonly moved: number
  readonly kept: number
  readonly problem: string | null
}

const EVERY_MS = 1000
const REASONS = ['rejected', 'expired', 'maxlen', 'delivery_limit'] as const

/** Moves what waits here back to where it died, or elsewhere. */
export function Redrives({ details }: { readonly details: DestinationDetails }): JSX.Element {
  const { vhost, name } = details
  const redrives = useFetched<readonly Redrive[]>('v1/redrives', {}, EVERY_MS)
  const own = (redrives.value ?? []).filter((each) => each.vhost === vhost && each.queue === name)
  const submit = async (values: Values): Promise<string> => {
    const path = `v1/destinations/${pathOf(vhost, name)}/redrive`
    const { id } = await change<Redrive>('POST', path, orderOf(values))
    redrives.again()
    return say('redrive.started', { id })
  }
  return (
    <>
      <section class="card">
        <h2>{say('tab.redrive')}</h2>
        <p class="soft">{say('redrive.hint')}</p>
        <Form
          label={say('tab.redrive')}
          submit={say('redrive.start')}
          onSubmit={submit}
          isKept
          fields={[
            { name: 'to', label: say('redrive.to'), hint: say('redrive.to.hint') },
            {
              name: 'reason',
              label: say('redrive.reason'),
              kind: 'choice',
              options: [['', say('table.all')], ...REASONS.map((each) => [each, each] as const)],
            },
            { name: 'error', label: say('redrive.error') },
            { name: 'id', label: say('redrive.id') },
            { name: 'countMax', label: say('redrive.max'), kind: 'number' },
            { name: 'rate', label: say('redrive.rate'), kind: 'number' },
            { name: 'dryRun', label: say('redrive.dry'), kind: 'check', value: 'on' },
          ]}
        />
      </section>
      <Failure reason={redrives.error} />
      {own.toReversed().map((each) => (
        <RedriveCard key={each.id} redrive={each} again={redrives.again} />
      ))}
    </>
  )
}

function RedriveCard({
  redrive,
  again,
}: {
  readonly redrive: Redrive
  readonly again: () => void
}): JSX.Element {
  const { id, dryRun, state, waiting, looked, moved, kept, problem } = redrive
  return (
    <section class="card" aria-label={say('redrive.number', { id })}>
      <h2>
        {say('redrive.number', { id })} <span class="badge">{say(`redrive.${state}`)}</span>
        {dryRun && <span class="badge">{say('redrive.dry')}</span>}
      </h2>
      <progress
        max={Math.max(1, waiting)}
        value={state === 'done' ? Math.max(1, waiting) : looked}
        aria-label={say('redrive.number', { id })}
      />
      <p>
        {say(dryRun ? 'redrive.wouldMove' : 'redrive.moved', {
          moved: countText(moved),
          looked: countText(looked),
          waiting: countText(waiting),
          kept: countText(kept),
        })}
      </p>
      <Failure reason={problem} />
      {state === 'running' && (
        <Action
          label={say('app.cancel')}
          isSmall
          onDo={async () => {
            await change('DELETE', `v1/redrives/${id}`)
            again()
          }}
        />
      )}
    </section>
  )
}

function orderOf(values: Values): object {
  const text = (name: string): string => values[name] ?? ''
  const filter = Object.fromEntries(
    ['reason', 'error', 'id'].map((name) => [name, text(name)]).filter(([, value]) => value !== ''),
  ) as Record<string, string>
  return {
    ...(text('to') === '' ? {} : { to: { exchange: '', routingKey: text('to') } }),
    filter,
    ...(text('countMax') === '' ? {} : { countMax: Number(text('countMax')) }),
    ...(text('rate') === '' ? {} : { rate: Number(text('rate')) }),
    dryRun: text('dryRun') === 'on',
  }
}
