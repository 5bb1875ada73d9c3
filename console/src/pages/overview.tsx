import type { JSX } from 'preact'
import type { Sample } from '../../../src/model/shapes/beats.ts'
import type { StatusView } from '../../../src/model/shapes/status.ts'
import { useCell } from '../cell.ts'
import { useFetched } from '../fetched.ts'
import { samples } from '../live.ts'
import { bytesText, countText, shortText, spanText, tookText } from '../numbers.ts'
import { Chart } from '../parts/chart.tsx'
import { Failure, Notice } from '../parts/notice.tsx'
import { Table } from '../parts/table.tsx'
import { Tile } from '../parts/tile.tsx'
import { say } from '../words.ts'

const STATUS_MS = 5000

export function Overview(): JSX.Element {
  const all = useCell(samples)
  const status = useFetched<StatusView>('v1/status', {}, STATUS_MS)
  const last = all.at(-1)
  return (
    <>
      <h1>{say('nav.overview')}</h1>
      {typeof last?.alarm === 'string' && (
        <Notice kind="warning">{say('overview.alarm', { alarm: last.alarm })}</Notice>
      )}
      <Failure reason={status.error} />
      <Tiles sample={last} />
      <Charts all={all} />
      {status.value !== null && (
        <div class="columns">
          <Node status={status.value} />
          <Listeners listeners={status.value.listeners} />
        </div>
      )}
    </>
  )
}

function Tiles({ sample }: { readonly sample: Sample | undefined }): JSX.Element {
  const rate = (value = 0): string => say('unit.perSecond', { value: shortText(value) })
  const connections = Object.values(sample?.connections ?? {}).reduce((sum, n) => sum + n, 0)
  return (
    <dl class="tiles">
      <Tile label={say('rate.published')} value={rate(sample?.publishRate)} />
      <Tile label={say('rate.delivered')} value={rate(sample?.deliverRate)} />
      <Tile label={say('rate.called')} value={rate(sample?.callRate)} note={callNote(sample)} />
      <Tile label={say('count.ready')} value={shortText(sample?.ready ?? 0)} />
      <Tile label={say('count.unsettled')} value={shortText(sample?.unsettled ?? 0)} />
      <Tile label={say('count.held')} value={shortText(sample?.held ?? 0)} />
      <Tile label={say('count.kept')} value={shortText(sample?.kept ?? 0)} />
      <Tile label={say('count.bytes')} value={bytesText(sample?.storedBytes ?? 0)} />
      <Tile label={say('count.connections')} value={countText(connections)} />
      <Tile label={say('count.consumers')} value={countText(sample?.consumers ?? 0)} />
      <Tile
        label={say('count.queues')}
        value={countText(sample?.queues ?? 0)}
        note={`${say('count.topics')} ${countText(sample?.topics ?? 0)}`}
      />
      <Tile
        label={say('rate.sync')}
        value={
          sample === undefined || sample.syncMs === null
            ? '–'
            : say('unit.ms', { value: sample.syncMs })
        }
      />
    </dl>
  )
}

/** How many fail, and how long the slowest take. */
function callNote(sample: Sample | undefined): string {
  const value = shortText(sample?.callFailRate ?? 0)
  const failed = say('rate.callsFailed', { rate: say('unit.perSecond', { value }) })
  const tookMs = sample?.callP99Ms ?? null
  return tookMs === null
    ? failed
    : `${failed} · ${say('rate.callTime', { time: tookText(tookMs) })}`
}

function Charts({ all }: { readonly all: readonly Sample[] }): JSX.Element {
  const timesMs = all.map(({ atMs }) => atMs)
  const of = (name: RateName): number[] => all.map((sample) => sample[name])
  return (
    <div class="charts">
      <Chart
        title={say('overview.rates')}
        timesMs={timesMs}
        series={[
          { label: say('rate.published'), color: '--line-1', values: of('publishRate') },
          { label: say('rate.delivered'), color: '--line-2', values: of('deliverRate') },
          { label: say('rate.settled'), color: '--line-3', values: of('settleRate') },
          { label: say('rate.redelivered'), color: '--line-4', values: of('redeliverRate') },
          { label: say('rate.unrouted'), color: '--line-5', values: of('unroutedRate') },
        ]}
      />
      <Chart
        title={say('overview.depth')}
        timesMs={timesMs}
        series={[
          { label: say('count.ready'), color: '--line-1', values: of('ready') },
          { label: say('count.unsettled'), color: '--line-2', values: of('unsettled') },
          { label: say('count.held'), color: '--line-4', values: of('held') },
        ]}
      />
      <Chart
        title={say('overview.sync')}
        timesMs={timesMs}
        format={(value) => say('unit.ms', { value: Math.round(value * 10) / 10 })}
        series={[
          {
            label: say('rate.sync'),
            color: '--line-3',
            values: all.map(({ syncMs }) => syncMs),
          },
        ]}
      />
      <Connections counts={all.at(-1)?.connections ?? {}} />
    </div>
  )
}

type RateName =
  | 'publishRate'
  | 'deliverRate'
  | 'settleRate'
  | 'redeliverRate'
  | 'unroutedRate'
  | 'ready'
  | 'unsettled'
  | 'held'

function Connections({ counts }: { readonly counts: Sample['connections'] }): JSX.Element {
  const entries = Object.entries(counts)
  const most = Math.max(1, ...entries.map(([, count]) => count))
  return (
    <section class="card">
      <h2>{say('overview.connections')}</h2>
      <ul class="bars">
        {entries.map(([name, count]) => (
          <li key={name}>
            <span>{name}</span>
            <meter min={0} max={most} value={count} aria-label={name} />
            <b>{countText(count)}</b>
          </li>
        ))}
      </ul>
    </section>
  )
}

function Node({ status }: { readonly status: StatusView }): JSX.Element {
  const { version, pid, startedAtMs, data, store } = status
  return (
    <section class="card">
      <h2>{say('overview.node')}</h2>
      <dl class="facts">
        <dt>{say('node.version')}</dt>
        <dd>{version}</dd>
        <dt>{say('node.uptime')}</dt>
        <dd>{spanText(Date.now() - startedAtMs)}</dd>
        <dt>{say('node.store')}</dt>
        <dd>
          {store.engine}, {store.state}
        </dd>
        <dt>{say('node.durability')}</dt>
        <dd>{store.durability}</dd>
        <dt>{say('node.data')}</dt>
        <dd>{data}</dd>
        <dt>{say('node.pid')}</dt>
        <dd>{pid}</dd>
      </dl>
    </section>
  )
}

function Listeners({ listeners }: { readonly listeners: StatusView['listeners'] }): JSX.Element {
  return (
    <section class="card">
      <h2>{say('overview.listeners')}</h2>
      <Table
        label={say('overview.listeners')}
        rows={listeners}
        keyOf={({ address }) => address}
        empty={say('app.nothing')}
        columns={[
          { key: 'name', title: say('listener.name'), cell: ({ name }) => name },
          { key: 'address', title: say('listener.address'), cell: ({ address }) => address },
          {
            key: 'tls',
            title: say('listener.tls'),
            cell: ({ tls }) => say(tls ? 'app.yes' : 'app.no'),
          },
          {
            key: 'connections',
            title: say('listener.connections'),
            isNumber: true,
            cell: ({ connections }) => countText(connections),
          },
        ]}
      />
    </section>
  )
}
