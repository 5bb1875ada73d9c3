import type * as Api from '@opentelemetry/api'
import type * as Sdk from '@opentelemetry/sdk-metrics'
import type {
  DataPoint,
  MetricData,
  MetricProducer,
  ResourceMetrics,
} from '@opentelemetry/sdk-metrics'
import {
  type Labels,
  type MetricParts,
  type MetricWriter,
  type Sample,
  writeMetrics,
} from '../admin/index.ts'
import type { Histogram } from '../lib/histogram.ts'
import type { Log } from './log.ts'
import { tellOtlpFaults } from './otlp-faults.ts'
import { StartupError } from './startup-error.ts'
import { packageVersion } from './version.ts'

/** Where metrics go, how often, and as whose. */
export interface MetricExportOptions {
  /** A URL of OTLP over HTTP, such as `http://127.0.0.1:4318/v1/metrics`. */
  readonly endpoint: string
  readonly everyMs: number | undefined
  readonly serviceName: string
  readonly parts: MetricParts
  readonly log: Log
}

/** OpenTelemetry's own default. */
const EVERY_MS_DEFAULT = 60_000
/** A receiver that does not answer must not hold up the next sending, nor the end of the broker. */
const TIMEOUT_MS_MAX = 10_000

/**
 * Sends what `/metrics` tells every now and then, and a last time when it is disposed of. The
 * packages are an optional peer: whoever wants this installs them beside this one.
 */
export async function openMetricExport(options: MetricExportOptions): Promise<AsyncDisposable> {
  const { endpoint, everyMs = EVERY_MS_DEFAULT, serviceName, parts, log } = options
  try {
    const [api, sdk, resources, base, http, transformer] = await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/sdk-metrics'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/otlp-exporter-base'),
      import('@opentelemetry/otlp-exporter-base/node-http'),
      import('@opentelemetry/otlp-transformer'),
    ])
    tellOtlpFaults(api, log)
    const resource = resources.resourceFromAttributes({
      'service.name': serviceName,
      'service.version': packageVersion(),
    })
    const json = { 'Content-Type': 'application/json' }
    const where = http.convertLegacyHttpOptions({ url: endpoint }, 'METRICS', 'v1/metrics', json)
    const exporter = new base.OTLPExporterBase<ResourceMetrics>(
      http.createOtlpHttpExportDelegate(
        where,
        transformer.JsonMetricsSerializer,
        'otlp_http_metric_exporter',
        transformer.MetricsExporterMetricsHelper,
        undefined,
      ),
    )
    const reader = new sdk.PeriodicExportingMetricReader({
      exporter,
      exportIntervalMillis: everyMs,
      exportTimeoutMillis: Math.min(everyMs, TIMEOUT_MS_MAX),
      metricProducers: [producerOf({ api, sdk, resource, parts })],
    })
    const provider = new sdk.MeterProvider({ resource, readers: [reader] })
    return {
      // It logs what went wrong; a broker that stops does not wait for whoever does not answer.
      [Symbol.asyncDispose]: async () => {
        await provider.shutdown({ timeoutMillis: TIMEOUT_MS_MAX }).catch(() => undefined)
      },
    }
  } catch (cause) {
    const packages =
      '@opentelemetry/api @opentelemetry/sdk-metrics @opentelemetry/resources ' +
      '@opentelemetry/otlp-exporter-base @opentelemetry/otlp-transformer'
    throw new StartupError('config', `metrics.otlp needs OpenTelemetry: npm install ${packages}`, {
      cause,
    })
  }
}

interface ProducerParts {
  readonly api: typeof Api
  readonly sdk: typeof Sdk
  readonly resource: ResourceMetrics['resource']
  readonly parts: MetricParts
}

function producerOf({ api, sdk, resource, parts }: ProducerParts): MetricProducer {
  const scope = { name: 'waystation', version: packageVersion() }
  return {
    collect: async () => {
      const book = new MetricBook(api, sdk, parts.status().startedAtMs)
      writeMetrics(book, parts)
      const scopeMetrics = [{ scope, metrics: book.metrics }]
      return Promise.resolve({ resourceMetrics: { resource, scopeMetrics }, errors: [] })
    },
  }
}

/** Metrics as OpenTelemetry has them: everything is counted from the start of the broker on. */
class MetricBook implements MetricWriter {
  readonly metrics: MetricData[] = []
  readonly #api: typeof Api
  readonly #sdk: typeof Sdk
  readonly #startTime: Api.HrTime
  readonly #endTime: Api.HrTime

  constructor(api: typeof Api, sdk: typeof Sdk, startedAtMs: number) {
    this.#api = api
    this.#sdk = sdk
    this.#startTime = timeOf(startedAtMs)
    this.#endTime = timeOf(Date.now())
  }

  gauge(name: string, help: string, samples: Iterable<Sample>): void {
    const dataPoints = this.#points(samples)
    if (dataPoints.length === 0) return
    const { GAUGE } = this.#sdk.DataPointType
    this.metrics.push({ ...this.#head(name, help), dataPointType: GAUGE, dataPoints })
  }

  counter(name: string, help: string, samples: Iterable<Sample>): void {
    const dataPoints = this.#points(samples)
    if (dataPoints.length === 0) return
    const kind = { dataPointType: this.#sdk.DataPointType.SUM, isMonotonic: true } as const
    this.metrics.push({ ...this.#head(name, help), ...kind, dataPoints })
  }

  histogram(name: string, help: string, histograms: Iterable<readonly [Labels, Histogram]>): void {
    const dataPoints = Array.from(histograms, ([labels, histogram]) => {
      const { bounds, counts, count, sum } = histogram
      // What is above the last bound has a bucket of its own here.
      const within = counts.reduce((total, one) => total + one, 0)
      const buckets = { boundaries: [...bounds], counts: [...counts, count - within] }
      return this.#point(labels, { buckets, count, sum })
    })
    if (dataPoints.length === 0) return
    const { HISTOGRAM } = this.#sdk.DataPointType
    this.metrics.push({ ...this.#head(name, help), dataPointType: HISTOGRAM, dataPoints })
  }

  #points(samples: Iterable<Sample>): DataPoint<number>[] {
    return Array.from(samples, ([labels, value]) => this.#point(labels, value))
  }

  #point<T>(labels: Labels, value: T): DataPoint<T> {
    const attributes = Object.fromEntries(
      Object.entries(labels).filter((entry): entry is [string, string] => entry[1] !== null),
    )
    return { startTime: this.#startTime, endTime: this.#endTime, attributes, value }
  }

  #head(
    name: string,
    description: string,
  ): Pick<MetricData, 'descriptor' | 'aggregationTemporality'> {
    const { ValueType } = this.#api
    return {
      descriptor: { name, description, unit: unitOf(name), valueType: ValueType.DOUBLE },
      aggregationTemporality: this.#sdk.AggregationTemporality.CUMULATIVE,
    }
  }
}

/** In the Unified Code for Units of Measure, which OpenTelemetry asks for. */
function unitOf(name: string): string {
  const stem = name.replace(/_total$/, '')
  if (stem.endsWith('_bytes')) return 'By'
  return stem.endsWith('_seconds') ? 's' : '1'
}

/** In seconds and nanoseconds. */
function timeOf(ms: number): Api.HrTime {
  const seconds = Math.floor(ms / 1000)
  return [seconds, Math.round((ms - seconds * 1000) * 1_000_000)]
}
