import type { JSX } from 'preact'
import { useRef, useState } from 'preact/hooks'
import type { Picture, PictureExchange } from '../../../src/model/shapes/pictures.ts'
import { pathOf } from '../api.ts'
import { useFetched } from '../fetched.ts'
import { countText } from '../numbers.ts'
import type { Flow, FlowEdge, FlowItem } from '../parts/flow-layout.ts'
import { FlowPicture, rateNote } from '../parts/flow-picture.tsx'
import { Failure, Notice } from '../parts/notice.tsx'
import { SearchInput } from '../parts/search-input.tsx'
import { Table } from '../parts/table.tsx'
import { useVhosts, VhostChoice } from '../parts/vhost-choice.tsx'
import { say } from '../words.ts'

const EVERY_MS = 2000

export function Exchanges(): JSX.Element {
  const vhosts = useVhosts()
  const [vhost, setVhost] = useState('/')
  const [search, setSearch] = useState('')
  const picture = useFetched<Picture>(`v1/picture/${pathOf(vhost)}`, { search }, EVERY_MS)
  const rates = useRates(picture.value)
  return (
    <>
      <h1>{say('nav.exchanges')}</h1>
      <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <VhostChoice vhosts={vhosts} value={vhost} onChange={setVhost} />
        <SearchInput onSearch={setSearch} />
      </form>
      <Failure reason={picture.error} />
      {picture.value !== null && (
        <>
          {picture.value.isCut && <Notice kind="warning">{say('picture.cut')}</Notice>}
          <section class="card">
            <h2>{say('picture.title')}</h2>
            <FlowPicture
              vhost={vhost}
              flow={flowOf(picture.value, rates)}
              label={say('picture.title')}
            />
          </section>
          <ExchangeTable exchanges={picture.value.exchanges} rates={rates} />
        </>
      )}
    </>
  )
}

type Rates = ReadonlyMap<string, number>

/** From one answer to the next: published to an exchange, stored in a destination. */
function useRates(picture: Picture | null): Rates {
  const last = useRef<{ picture: Picture; atMs: number } | null>(null)
  const rates = useRef<Rates>(new Map())
  if (picture !== null && last.current?.picture !== picture) {
    const nowMs = performance.now()
    const before = last.current
    if (before !== null) rates.current = ratesOf(before.picture, picture, nowMs - before.atMs)
    last.current = { picture, atMs: nowMs }
  }
  return rates.current
}

function ratesOf(before: Picture, now: Picture, ms: number): Rates {
  const counts = (picture: Picture): Map<string, number> => {
    return new Map([
      ...picture.exchanges.map(({ name, published }) => [`x ${name}`, published] as const),
      ...picture.destinations.map(({ name, enqueued }) => [`d ${name}`, enqueued] as const),
    ])
  }
  const old = counts(before)
  const rates = new Map<string, number>()
  for (const [id, count] of counts(now)) {
    rates.set(id, Math.max(0, ((count - (old.get(id) ?? count)) / Math.max(ms, 1)) * 1000))
  }
  return rates
}

function flowOf(picture: Picture, rates: Rates): Flow {
  const items: FlowItem[] = []
  const edges: FlowEdge[] = []
  for (const { name, type, published } of picture.exchanges) {
    const id = `x ${name}`
    const rate = rates.get(id) ?? 0
    items.push({ id, kind: 'exchange', name, title: exchangeTitle(name), note: type })
    if (published === 0) continue
    items.push({
      id: `p ${name}`,
      kind: 'publisher',
      name,
      title: say('picture.publishers'),
      note: rateNote(rate),
    })
    edges.push({ from: `p ${name}`, to: id, text: '', isBusy: rate > 0 })
  }
  for (const { name, profile, ready } of picture.destinations) {
    const id = `d ${name}`
    const note = `${countText(ready)} · ${rateNote(rates.get(id) ?? 0)}`
    items.push({ id, kind: profile, name, title: name, note })
  }
  for (const { source, target, targetKind, keys, count } of picture.bindings) {
    const to = `${targetKind === 'exchange' ? 'x' : 'd'} ${target}`
    const more = count > keys.length ? ` +${count - keys.length}` : ''
    const text = keys.join(', ') + more
    const isBusy = (rates.get(`x ${source}`) ?? 0) > 0 && (rates.get(to) ?? 0) > 0
    edges.push({ from: `x ${source}`, to, text, isBusy })
  }
  for (const { destination, name, protocol, count } of picture.consumers) {
    const id = `c ${destination} ${name}`
    const note = [protocol, count > 1 ? `× ${count}` : ''].filter(Boolean).join(' ')
    items.push({ id, kind: 'consumer', name, title: name, note })
    const isBusy = (rates.get(`d ${destination}`) ?? 0) > 0
    edges.push({ from: `d ${destination}`, to: id, text: '', isBusy })
  }
  return { items, edges }
}

function ExchangeTable({
  exchanges,
  rates,
}: {
  readonly exchanges: readonly PictureExchange[]
  readonly rates: Rates
}): JSX.Element {
  return (
    <section class="card">
      <h2>{say('nav.exchanges')}</h2>
      <Table
        label={say('nav.exchanges')}
        rows={exchanges}
        keyOf={({ name }) => name}
        empty={say('app.nothing')}
        columns={[
          { key: 'name', title: say('field.name'), cell: ({ name }) => exchangeTitle(name) },
          { key: 'type', title: say('field.kind'), cell: ({ type }) => type },
          {
            key: 'rate',
            title: say('rate.published'),
            isNumber: true,
            cell: ({ name }) => rateNote(rates.get(`x ${name}`) ?? 0),
          },
          {
            key: 'published',
            title: say('exchange.published'),
            isNumber: true,
            cell: ({ published }) => countText(published),
          },
          {
            key: 'unrouted',
            title: say('rate.unrouted'),
            isNumber: true,
            cell: ({ unrouted }) => countText(unrouted),
          },
        ]}
      />
    </section>
  )
}

function exchangeTitle(name: string): string {
  return name === '' ? say('exchange.default') : name
}
