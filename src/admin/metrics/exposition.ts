import type { Histogram } from '../../lib/histogram.ts'
import type { Labels, MetricWriter, Sample } from './metric-writer.ts'

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

const NO_LABELS: Labels = {}

/**
 * Writes metrics in Prometheus's text format, version 0.0.4:
 *
 *     # HELP name help
 *     # TYPE name counter | gauge | histogram
 *     name{label="value",...} number
 *
 * A family without samples is left out.
 */
export class Exposition implements MetricWriter {
  readonly #lines: string[] = []

  gauge(name: string, help: string, samples: Iterable<Sample>): void {
    this.#family(name, 'gauge', help, samples)
  }

  counter(name: string, help: string, samples: Iterable<Sample>): void {
    this.#family(name, 'counter', help, samples)
  }

  histogram(name: string, help: string, histograms: Iterable<readonly [Labels, Histogram]>): void {
    const lines: string[] = []
    for (const [labels, { bounds, counts, count, sum }] of histograms) {
      let below = 0
      for (const [at, bound] of bounds.entries()) {
        below += counts[at]!
        lines.push(line(`${name}_bucket`, { ...labels, le: String(bound) }, below))
      }
      lines.push(line(`${name}_bucket`, { ...labels, le: '+Inf' }, count))
      lines.push(line(`${name}_sum`, labels, sum))
      lines.push(line(`${name}_count`, labels, count))
    }
    this.#add(name, 'histogram', help, lines)
  }

  comment(text: string): void {
    this.#lines.push(`# ${text}`)
  }

  text(): string {
    return `${this.#lines.join('\n')}\n`
  }

  #family(name: string, type: string, help: string, samples: Iterable<Sample>): void {
    const lines = Array.from(samples, ([labels, value]) => line(name, labels, value))
    this.#add(name, type, help, lines)
  }

  #add(name: string, type: string, help: string, lines: readonly string[]): void {
    if (lines.length === 0) return
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines)
  }
}

/** One value without labels. */
export function single(value: number): Sample[] {
  return [[NO_LABELS, value]]
}

function line(name: string, labels: Labels, value: number): string {
  const shown = Object.entries(labels)
    .filter((entry): entry is [string, string] => entry[1] !== null)
    .map(([label, text]) => `${label}="${escaped(text)}"`)
  return `${name}${shown.length === 0 ? '' : `{${shown.join(',')}}`} ${numberText(value)}`
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function numberText(value: number): string {
  if (value === Infinity) return '+Inf'
  return value === -Infinity ? '-Inf' : String(value)
}
