import type { JSX } from 'preact'
import { useEffect } from 'preact/hooks'
import type { DestinationDetails } from '../../../src/model/shapes/destinations.ts'
import { change, pathOf } from '../api.ts'
import { useCell } from '../cell.ts'
import { useFetched } from '../fetched.ts'
import { lookAt, points } from '../live.ts'
import { bytesText, countText, shortText, spanText } from '../numbers.ts'
import { Action } from '../parts/action.tsx'
import { Chart } from '../parts/chart.tsx'
import { Failure, Notice } from '../parts/notice.tsx'
import { Tabs } from '../parts/tabs.tsx'
import { Tile } from '../parts/tile.tsx'
import { hrefOf } from '../route.ts'
import { say } from '../words.ts'
import { Messages } from './destination-messages.tsx'
import { Readers } from './destination-readers.tsx'
import { Redrives } from './destination-redrives.tsx'
import { Settings } from './destination-settings.tsx'
import { Publish } from './publish.tsx'

const EVERY_MS = 3000
const TABS = ['now', 'messages', 'publish', 'redrive', 'settings'] as const

export function Destination({ names }: { readonly names: readonly string[] }): JSX.Element {
  const [vhost = '/', name = '', tab = 'now'] = names
  const path = `v1/destinations/${pathOf(vhost, name)}`
  const details = useFetched<DestinationDetails>(path, {}, EVERY_MS)
  useEffect(() => lookAt({ vhost, destination: name }), [vhost, name])
  const { value } = details
  return (
    <>
      <p class="crumb">
        <a href={hrefOf('destinations')}>{say('nav.destinations')}</a> / {vhost}
      </p>
      <h1>
        {name} {value !== null && <Badge details={value} />}
      </h1>
      <Failure reason={details.error} />
      {value !== null && value.heldBackBy !== null && (
        <Notice kind="warning">{value.heldBackBy}</Notice>
      )}
      <Tabs
        label={name}
        here={tab}
        tabs={TABS.filter((each) => each !== 'redrive' || value?.profile !== 'topic').map(
          (each) => ({
            name: each,
            title: say(`tab.${each}`),
            href: hrefOf('destination', vhost, name, ...(each === 'now' ? [] : [each])),
          }),
        )}
      />
      {value !== null && <Part tab={tab} details={value} again={details.again} />}
    </>
  )
}

function Badge({ details }: { readonly details: DestinationDetails }): JSX.Element {
  return <span class={`badge ${details.profile}`}>{say(`profile.${details.profile}`)}</span>
}

interface PartProps {
  readonly details: DestinationDetails
  readonly again: () => void
}

function Part({ tab, details, again }: PartProps & { readonly tab: string }): JSX.Element {
  switch (tab) {
    case 'messages':
      return <Messages details={details} />
    case 'publish':
      return <Publish vhost={details.vhost} exchange="" routingKey={details.name} />
    case 'redrive':
      return <Redrives details={details} />
    case 'settings':
      return <Settings details={details} again={again} />
    default:
      return <Now details={details} again={again} />
  }
}

function Now({ details, again }: PartProps): JSX.Element {
  const all = useCell(points)
  const last = all.at(-1)
  const timesMs = all.map(({ atMs }) => atMs)
  const { vhost, name, profile, oldestMs } = details
  const rate = (value = 0): string => say('unit.perSecond', { value: shortText(value) })
  const path = `v1/destinations/${pathOf(vhost, name)}`
  return (
    <>
      <dl class="tiles">
        <Tile
          label={say(profile === 'queue' ? 'count.ready' : 'count.kept')}
          value={countText(last?.ready ?? details.ready)}
        />
        <Tile label={say('count.unsettled')} value={countText(last?.unsettled ?? 0)} />
        <Tile label={say('count.held')} value={countText(last?.held ?? details.held)} />
        <Tile label={say('count.bytes')} value={bytesText(details.readyBytes)} />
        <Tile label={say('count.consumers')} value={countText(details.consumers)} />
        <Tile
          label={say('field.oldest')}
          value={oldestMs === null ? '–' : spanText(Date.now() - oldestMs)}
        />
        <Tile label={say('rate.stored')} value={rate(last?.enqueueRate)} />
        <Tile label={say('rate.delivered')} value={rate(last?.deliverRate)} />
      </dl>
      <div class="charts">
        <Chart
          title={say('overview.rates')}
          timesMs={timesMs}
          series={[
            {
              label: say('rate.stored'),
              color: '--line-1',
              values: all.map(({ enqueueRate }) => enqueueRate),
            },
            {
              label: say('rate.delivered'),
              color: '--line-2',
              values: all.map(({ deliverRate }) => deliverRate),
            },
            {
              label: say('rate.settled'),
              color: '--line-3',
              values: all.map(({ settleRate }) => settleRate),
            },
          ]}
        />
        <Chart
          title={say('destination.depth')}
          timesMs={timesMs}
          series={[
            { label: say('count.ready'), color: '--line-1', values: all.map(({ ready }) => ready) },
            {
              label: say('count.unsettled'),
              color: '--line-2',
              values: all.map(({ unsettled }) => unsettled),
            },
            { label: say('count.held'), color: '--line-4', values: all.map(({ held }) => held) },
          ]}
        />
      </div>
      <Readers details={details} />
      <div class="buttons">
        <Action
          label={say('destination.purge')}
          question={say('destination.purge.sure', { name })}
          isDanger
          onDo={async () => {
            await change('POST', `${path}/purge`)
            again()
          }}
        />
        <Action
          label={say('destination.delete')}
          question={say('destination.delete.sure', { name })}
          isDanger
          onDo={async () => {
            await change('DELETE', path)
            window.location.hash = hrefOf('destinations')
          }}
        />
      </div>
    </>
  )
}
