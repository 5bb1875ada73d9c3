import { useEffect, useRef } from 'preact/hooks'
import type { JSX } from 'preact'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { useCell } from '../cell.ts'
import { language, paint } from '../settings.ts'
import { shortText } from '../numbers.ts'

export interface Series {
  readonly label: string
  /** A custom property of the style sheet, such as `--line-1`. */
  readonly color: string
  readonly values: readonly (number | null)[]
}

interface ChartProps {
  readonly title: string
  readonly timesMs: readonly number[]
  readonly series: readonly Series[]
  readonly format?: (value: number) => string
}

const HEIGHT = 190
/** An empty chart shows so many seconds. */
const SPAN_SECONDS_MIN = 60

/** Lines over time. What they end in is said in words too, for those who do not see them. */
export function Chart({ title, timesMs, series, format = shortText }: ChartProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const painted = useCell(paint)
  const words = useCell(language)
  const labels = series.map(({ label }) => label).join('|')

  useEffect(() => {
    const element = box.current
    if (element === null) return
    const made = new uPlot(
      optionsOf(series, format, element.clientWidth),
      dataOf([], series),
      element,
    )
    plot.current = made
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height: HEIGHT })
    })
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
      plot.current = null
    }
  }, [painted, words, labels])
  useEffect(() => plot.current?.setData(dataOf(timesMs, series)))

  const last = series.map(({ label, values }) => `${label} ${format(values.at(-1) ?? 0)}`)
  return (
    <section class="card chart">
      <h2>{title}</h2>
      <div ref={box} class="plot" role="img" aria-label={`${title}: ${last.join(', ')}`} />
      <ul class="legend" aria-hidden="true">
        {series.map(({ label, color, values }) => (
          <li key={label}>
            <span class={`swatch ${color.slice(2)}`} />
            {label} <b>{format(values.at(-1) ?? 0)}</b>
          </li>
        ))}
      </ul>
    </section>
  )
}

function clockText(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString('en-GB')
}

function dataOf(timesMs: readonly number[], series: readonly Series[]): uPlot.AlignedData {
  if (timesMs.length > 0) {
    return [timesMs.map((ms) => ms / 1000), ...series.map(({ values }) => [...values])]
  }
  // Without a point there would be no time to draw an axis of.
  const now = Date.now() / 1000
  return [[now - SPAN_SECONDS_MIN, now], ...series.map(() => [null, null])]
}

function optionsOf(
  series: readonly Series[],
  format: (value: number) => string,
  width: number,
): uPlot.Options {
  const style = window.getComputedStyle(document.documentElement)
  const color = (name: string): string => style.getPropertyValue(name).trim()
  const axis = { stroke: color('--text-soft'), grid: { stroke: color('--line'), width: 1 } }
  return {
    width: Math.max(width, 100),
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: {
      x: {
        range: (_plot, from, to) => {
          const end = to ?? Date.now() / 1000
          return [Math.min(from ?? end, end - SPAN_SECONDS_MIN), end]
        },
      },
      y: { range: (_plot, _from, to) => [0, to > 0 ? to * 1.1 : 1] },
    },
    axes: [
      {
        ...axis,
        ticks: { show: false },
        space: 90,
        values: (_plot, times) => times.map(clockText),
      },
      {
        ...axis,
        ticks: { show: false },
        size: 56,
        values: (_plot, values) => values.map((value) => format(value)),
      },
    ],
    series: [
      {},
      ...series.map(({ label, color: name }) => ({
        label,
        stroke: color(name),
        width: 2,
        points: { show: false },
        spanGaps: true,
      })),
    ],
  }
}
