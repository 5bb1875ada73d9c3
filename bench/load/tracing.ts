import { readAdminEndpoint } from '../../src/server/data-directory.ts'
import { runFlow } from './flow.ts'
import type { Metrics, Target } from './target.ts'

const FLOW = { bodyBytes: 100, window: 5_000, queueCount: 1, fanOut: false, rate: 0 } as const
const MODES = [
  { name: 'off', sample: 0 },
  // A rule is on, and takes nothing.
  { name: 'none', sample: 1e-9 },
  { name: '1 %', sample: 0.01 },
  { name: '100 %', sample: 1 },
] as const
/** Each mode has its turn so often, one after the other, so that a slow moment hits all alike. */
const TURNS = 5

/**
 * What tracing costs in messages a second and in CPU of the broker for each: the same flow without
 * a rule, with one that takes nothing, one that takes a sample and one that takes every message.
 */
export async function runTracing(target: Target, seconds: number): Promise<Metrics> {
  // A peer has nothing like it.
  if (target.isPeer) return {}
  const found = new Map<string, Metrics[]>()
  for (let turn = 0; turn < TURNS; turn++) {
    for (const { name, sample } of MODES) {
      const rule = sample === 0 ? null : await start(target, sample)
      const metrics = await runFlow(target, { ...FLOW, seconds })
      if (rule !== null) await request(target, 'DELETE', `/v1/traces/${rule}`)
      found.set(name, [...(found.get(name) ?? []), metrics])
    }
  }
  const metrics: Record<string, number> = {}
  for (const key of ['consumed/s', 'broker CPU µs/message'] as const) {
    const off = median(found.get('off')!, key)
    for (const { name } of MODES) {
      const value = median(found.get(name)!, key)
      metrics[`${name}: ${key}`] = value
      if (name !== 'off') metrics[`${name}: ${key}, % more than off`] = (value / off - 1) * 100
    }
  }
  return metrics
}

function median(runs: readonly Metrics[], key: string): number {
  const values = runs.map((run) => run[key] ?? NaN).toSorted((a, b) => a - b)
  return values[Math.floor(values.length / 2)]!
}

async function start(target: Target, sample: number): Promise<number> {
  const { rule } = (await request(target, 'POST', '/v1/traces', { sample })) as { rule: number }
  return rule
}

async function request(
  { server }: Target,
  method: string,
  path: string,
  body?: object,
): Promise<unknown> {
  const admin = server.dataDirectory === null ? null : readAdminEndpoint(server.dataDirectory)
  if (admin === null) throw new Error('only a Waystation that this bench started can be traced')
  const headers = { authorization: `Bearer ${admin.token}`, 'content-type': 'application/json' }
  const response = await fetch(admin.url + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return text === '' ? null : JSON.parse(text)
}
