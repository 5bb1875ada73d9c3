import type * as Api from '@opentelemetry/api'
import type { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import type { Step, TraceNames, TraceStep } from '../broker/tracing/trace-log.ts'
import type { TraceListener } from '../broker/tracing/tracer.ts'
import type { Log } from './log.ts'
import { tellOtlpFaults } from './otlp-faults.ts'
import { StartupError } from './startup-error.ts'
import { packageVersion } from './version.ts'

/** Where spans go, and as whose. */
export interface SpanExportOptions {
  /** A URL of OTLP over HTTP, such as `http://127.0.0.1:4318/v1/traces`. */
  readonly endpoint: string
  readonly serviceName: string
  readonly log: Log
}

/**
 * Spans that are open, and publishes that deliveries still may link to; beyond it the oldest is
 * ended, for a message may stay where it is for ever.
 */
const OPEN_MAX = 10_000
/** How often spans are sent. */
const SEND_EVERY_MS = 1000

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/

/** Ends a delivery; what went wrong in it, or null. */
const SETTLED: Readonly<Partial<Record<Step, string | null>>> = {
  accepted: null,
  committed: null,
  released: null,
  purged: null,
  failed: 'failed',
  rejected: 'rejected',
  dropped: 'dropped',
  'dead-lettered': 'dead-lettered',
}

/** The packages are an optional peer: whoever wants spans installs them beside this one. */
export async function openSpanExport(options: SpanExportOptions): Promise<SpanExport> {
  try {
    const [api, sdk, otlp, resources] = await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/sdk-trace-base'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
    ])
    const exporter = new otlp.OTLPTraceExporter({ url: options.endpoint })
    tellOtlpFaults(api, options.log)
    const provider = new sdk.BasicTracerProvider({
      resource: resources.resourceFromAttributes({
        'service.name': options.serviceName,
        'service.version': packageVersion(),
      }),
      // A rule picked the message: that is the sample.
      sampler: new sdk.AlwaysOnSampler(),
      spanProcessors: [
        new sdk.BatchSpanProcessor(exporter, { scheduledDelayMillis: SEND_EVERY_MS }),
      ],
    })
    return new SpanExport(api, provider)
  } catch (cause) {
    const packages =
      '@opentelemetry/api @opentelemetry/sdk-trace-base @opentelemetry/resources ' +
      '@opentelemetry/exporter-trace-otlp-http'
    const message = `tracing.otlp needs OpenTelemetry: npm install ${packages}`
    throw new StartupError('config', message, { cause })
  }
}

/**
 * Makes OpenTelemetry spans of what happens to traced messages: one from a publish until it is on
 * disk, one from each delivery until it is settled, and one for each move to and from dead letters.
 * Their parent is the publisher's `traceparent`; deliveries link to the publish as well.
 */
export class SpanExport implements TraceListener, AsyncDisposable {
  readonly #api: typeof Api
  readonly #provider: BasicTracerProvider
  readonly #tracer: Api.Tracer
  /** By trace: the publish, ended or not. */
  readonly #publishes: Map<number, Api.Span> = new Map()
  /** By trace and place. */
  readonly #deliveries: Map<string, Api.Span> = new Map()

  constructor(api: typeof Api, provider: BasicTracerProvider) {
    this.#api = api
    this.#provider = provider
    this.#tracer = provider.getTracer('waystation', packageVersion())
  }

  onStep(trace: number, names: TraceNames, step: TraceStep): void {
    const kind = step.step
    if (kind === 'published') this.#published(trace, names, step)
    else if (kind === 'stored' || kind === 'on-disk' || kind === 'unrouted') {
      this.#stored(trace, step)
    } else if (kind === 'not-stored' || kind === 'refused') this.#stored(trace, step, kind)
    else if (kind === 'delivered' || kind === 'fetched') this.#delivered(trace, names, step)
    else {
      this.#settled(trace, step)
      if (kind === 'dead-lettered' || kind === 'redriven') this.#moved(trace, names, step)
    }
  }

  /** Sends what waits. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const span of this.#deliveries.values()) span.end()
    for (const span of this.#publishes.values()) span.end()
    // It logs what went wrong; a broker that stops does not wait for whoever does not answer.
    await this.#provider.shutdown().catch(() => undefined)
  }

  #published(trace: number, names: TraceNames, step: TraceStep): void {
    const span = this.#start('publish', trace, names, step)
    this.#keep(this.#publishes, trace, span)
  }

  #stored(trace: number, { step, atMs, detail }: TraceStep, fault: string | null = null): void {
    const span = this.#publishes.get(trace)
    if (span?.isRecording() !== true) return
    if (step === 'stored' && detail === '') return
    if (fault !== null) this.#fail(span, fault, detail)
    span.end(timeOf(atMs))
  }

  #delivered(trace: number, names: TraceNames, step: TraceStep): void {
    const key = keyOf(trace, step)
    this.#deliveries.get(key)?.end(timeOf(step.atMs))
    const span = this.#start('deliver', trace, names, step)
    // Readers of topics settle nothing, and some consumers say beforehand that they will not.
    const isOver =
      step.step === 'delivered' && (step.partition >= 0 || step.detail.endsWith('given out'))
    if (isOver) span.end(timeOf(step.atMs))
    else this.#keep(this.#deliveries, key, span)
  }

  #settled(trace: number, step: TraceStep): void {
    const fault = SETTLED[step.step]
    if (fault === undefined) return
    const key = keyOf(trace, step)
    const span = this.#deliveries.get(key)
    if (span === undefined) return
    this.#deliveries.delete(key)
    if (fault !== null) this.#fail(span, fault, step.detail)
    span.end(timeOf(step.atMs))
  }

  #moved(trace: number, names: TraceNames, step: TraceStep): void {
    const name = step.step === 'redriven' ? 'redrive' : 'dead-letter'
    const span = this.#start(name, trace, names, step)
    span.setAttribute('messaging.waystation.detail', step.detail)
    span.end(timeOf(step.atMs))
  }

  #start(
    operation: 'publish' | 'deliver' | 'dead-letter' | 'redrive',
    trace: number,
    names: TraceNames,
    { at, partition, offset, attempts, by, atMs }: TraceStep,
  ): Api.Span {
    const { ROOT_CONTEXT, SpanKind, trace: spans } = this.#api
    const parent = parentOf(names)
    const context = parent === null ? ROOT_CONTEXT : spans.setSpanContext(ROOT_CONTEXT, parent)
    const publish = operation === 'publish' ? undefined : this.#publishes.get(trace)
    // Without a publisher's own trace, the publish is what all else belongs to.
    const within =
      parent === null && publish !== undefined ? spans.setSpan(ROOT_CONTEXT, publish) : context
    const kinds = { publish: SpanKind.SERVER, deliver: SpanKind.CLIENT } as const
    const isTransfer = operation === 'publish' || operation === 'deliver'
    return this.#tracer.startSpan(
      `${operation} ${at === '' ? '(default)' : at}`,
      {
        kind: isTransfer ? kinds[operation] : SpanKind.INTERNAL,
        startTime: timeOf(atMs),
        ...(publish === undefined ? {} : { links: [{ context: publish.spanContext() }] }),
        attributes: {
          'messaging.system': 'waystation',
          'messaging.operation.name': operation,
          ...(operation === 'publish' ? { 'messaging.operation.type': 'send' } : {}),
          ...(operation === 'deliver' ? { 'messaging.operation.type': 'process' } : {}),
          'messaging.destination.name': at,
          ...(names.messageId === '' ? {} : { 'messaging.message.id': names.messageId }),
          ...(names.correlationId === ''
            ? {}
            : { 'messaging.message.conversation_id': names.correlationId }),
          ...(partition < 0 ? {} : { 'messaging.destination.partition.id': String(partition) }),
          ...(offset < 0 ? {} : { 'messaging.waystation.offset': offset }),
          ...(attempts === 0 ? {} : { 'messaging.waystation.attempts': attempts }),
          ...(by === null
            ? {}
            : {
                'messaging.client.id': by.clientId ?? by.connection,
                'network.protocol.name': by.protocol.toLowerCase(),
              }),
          'messaging.waystation.vhost': names.vhost,
        },
      },
      within,
    )
  }

  #fail(span: Api.Span, fault: string, detail: string): void {
    span.setAttribute('error.type', fault)
    span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message: detail || fault })
  }

  #keep<Key>(spans: Map<Key, Api.Span>, key: Key, span: Api.Span): void {
    spans.set(key, span)
    if (spans.size <= OPEN_MAX) return
    const [oldest] = spans
    oldest![1].end()
    spans.delete(oldest![0])
  }
}

/** W3C Trace Context, as the publisher sent it; null: none, or none that can be read. */
function parentOf({ traceparent }: TraceNames): Api.SpanContext | null {
  const found = TRACEPARENT.exec(traceparent)
  if (found === null) return null
  const [, traceId, spanId, flags] = found as unknown as [string, string, string, string]
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return null
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
}

function keyOf(trace: number, { at, partition, offset }: TraceStep): string {
  return `${trace} ${partition} ${offset} ${at}`
}

/** In seconds and nanoseconds: a bare number may be taken for one of another clock. */
function timeOf(ms: number): [number, number] {
  const seconds = Math.floor(ms / 1000)
  return [seconds, Math.round((ms - seconds * 1000) * 1_000_000)]
}
