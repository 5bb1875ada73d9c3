import { readAdminEndpoint } from '../../src/server/data-directory.ts'
import { runFlow } from './flow.ts'
import type { Metrics, Target } from './target.ts'

const FLOW = { bodyBytes: 100, window: 5_000, queueCount: 1, fanOut: false, rate: 0 } as const
interface Mode {
  readonly name: string
  readonly sample: number
}
const OFF: Mode = { name: 'off', sample: 0 }
/**
 * Modes that take turns, and how many. The one whose garbage others would sweep comes after the
 * others. Each turn goes through its modes and back, so that a machine that drifts favours none, and
 * begins with another one: where all three traced nothing, the ones in the middle took 4 and 6 % more.
 */
const ROUNDS: readonly { readonly modes: readonly Mode[]; readonly turns: number }[] = [
  {
    // In the middle a rule is on, and takes nothing.
    modes: [OFF, { name: 'none', sample: 1e-9 }, { name: '1 %', sample: 0.01 }],
    turns: 12,
  },
  { modes: [OFF, { name: '100 %', sample: 1 }], turns: 4 },
]
const KEYS = ['consumed/s', 'broker CPU µs/message'] as const

/**
 * What tracing costs in messages a second and in CPU of the broker for each: the same flow without
 * a rule, with one that takes nothing, one that takes a sample and one that takes every message.
 * Each mode is compared with none in its own turn; the median of the turns is told, and the
 * quarters beside it.
 */
export async function runTracing(target: Target, seconds: number): Promise<Metrics> {
  // A peer has nothing like it.
  if (target.isPeer) return {}
  const metrics: Record<string, number> = {}
  for (const { modes, turns: count } of ROUNDS) {
    // The compilers' turn.
    for (const { sample } of modes) await runMode(target, sample, seconds)
    const turns: Map<string, Metrics>[] = []
    for (let turn = 0; turn < count; turn++) {
      const first = turn % modes.length
      const order = [...modes.slice(first), ...modes.slice(0, first)]
      turns.push(await runTurn(target, order, seconds))
    }
    Object.assign(metrics, told(modes, turns), metrics)
  }
  return metrics
}

function told(modes: readonly Mode[], turns: readonly Map<string, Metrics>[]): Metrics {
  const metrics: Record<string, number> = {}
  for (const key of KEYS) {
    for (const { name } of modes) {
      const values = turns.map((turn) => turn.get(name)![key]!)
      metrics[`${name}: ${key}`] = quantile(values, 0.5)
      if (name === 'off') continue
      const more = turns.map((turn) => (turn.get(name)![key]! / turn.get('off')![key]! - 1) * 100)
      metrics[`${name}: ${key}, % more than off`] = quantile(more, 0.5)
      metrics[`${name}: ${key}, % more, lower quarter`] = quantile(more, 0.25)
      metrics[`${name}: ${key}, % more, upper quarter`] = quantile(more, 0.75)
    }
  }
  return metrics
}

/** Every mode twice; resolves to the means by mode. */
async function runTurn(
  target: Target,
  modes: readonly Mode[],
  seconds: number,
): Promise<Map<string, Metrics>> {
  const found = new Map<string, Metrics>()
  for (const { name, sample } of [...modes, ...modes.toReversed()]) {
    const metrics = await runMode(target, sample, seconds)
    const first = found.get(name)
    const both = (key: string): number => ((first?.[key] ?? 0) + metrics[key]!) / 2
    found.set(
      name,
      first === undefined ? metrics : Object.fromEntries(KEYS.map((key) => [key, both(key)])),
    )
  }
  return found
}

async function runMode(target: Target, sample: number, seconds: number): Promise<Metrics> {
  const rule = sample === 0 ? null : await start(target, sample)
  const metrics = await runFlow(target, { ...FLOW, seconds })
  if (rule !== null) await request(target, 'DELETE', `/v1/traces/${rule}`)
  return metrics
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const place = (sorted.length - 1) * share
  const [below, above] = [sorted[Math.floor(place)]!, sorted[Math.ceil(place)]!]
  return below + (above - below) * (place - Math.floor(place))
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
