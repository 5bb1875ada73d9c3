import type { Broker } from '../broker/broker.ts'
import { type AdminOptions, statusView } from './admin-server.ts'
import type { TracingInput } from './config-schema.ts'
import type { Log } from './log.ts'
import type { ServerConfig } from './server-config.ts'

/** As which spans and metrics appear, unless the configuration says otherwise. */
const SERVICE_NAME = 'waystation'

/** Spans are sent before the broker is closed, and what is traced from the start is picked. */
export async function openTracing(
  { otlp, sample, serviceName = SERVICE_NAME }: TracingInput,
  tracer: Broker['tracer'],
  { opened, log }: { readonly opened: AsyncDisposableStack; readonly log: Log },
): Promise<void> {
  if (otlp !== undefined) {
    // Loaded when wanted: most brokers send no spans.
    const { openSpanExport } = await import('./span-export.ts')
    tracer.listener = opened.use(await openSpanExport({ endpoint: otlp, serviceName, log }))
  }
  if (sample === undefined) return
  tracer.start({ vhost: null, sample, forMs: Infinity, countMax: Infinity })
}

/** Sent a last time before the broker is closed. */
export async function openMetrics(
  { metrics, tracing }: ServerConfig,
  {
    seen,
    opened,
    log,
  }: {
    readonly seen: AdminOptions
    readonly opened: AsyncDisposableStack
    readonly log: Log
  },
): Promise<void> {
  const { otlp: endpoint, exportEvery: everyMs } = metrics
  if (endpoint === undefined) return
  // Loaded when wanted, as spans are.
  const { openMetricExport } = await import('./metric-export.ts')
  const { serviceName = SERVICE_NAME } = tracing
  const { figures, ...others } = seen
  const parts = {
    ...others,
    status: () => statusView(seen),
    ...(figures === null ? {} : { figures }),
  }
  opened.use(await openMetricExport({ endpoint, everyMs, serviceName, parts, log }))
}
