import type { CallFigures } from '../../../src/model/shapes/services.ts'
import { countText, tookText } from '../numbers.ts'
import type { Column } from '../parts/table.tsx'
import { say } from '../words.ts'

/** How calls went, of a service or of one instance. */
export function callColumns<Row extends CallFigures>(): Column<Row>[] {
  return [
    {
      key: 'outstanding',
      title: say('count.unsettled'),
      isNumber: true,
      cell: ({ outstanding, capacity }) => `${countText(outstanding)} / ${countText(capacity)}`,
    },
    {
      key: 'calls',
      title: say('services.calls'),
      isNumber: true,
      cell: ({ calls }) => countText(calls),
    },
    {
      key: 'failed',
      title: say('services.failed'),
      isNumber: true,
      cell: ({ failed }) => countText(failed),
    },
    {
      key: 'latency',
      title: say('services.latency'),
      isNumber: true,
      cell: ({ p50Ms, p99Ms }) =>
        [p50Ms, p99Ms].map((ms) => (ms === null ? '–' : tookText(ms))).join(' / '),
    },
  ]
}
