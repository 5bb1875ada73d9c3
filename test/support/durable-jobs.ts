/**
 * A provider or a caller of durable calls, in a process of its own:
 * `node durable-jobs.ts provide URL INSTANCE`, `node durable-jobs.ts call URL FIRST_NUMBER`.
 */
import { z } from 'zod'
import {
  type Channel,
  connectChannel,
  type Contract,
  createClient,
  type Method,
  rpc,
  RpcError,
  serve,
  service,
  type StandardSchema,
} from '../../src/client/index.ts'

const In: z.ZodObject<{ name: z.ZodString; kind: z.ZodString }> = z.object({
  name: z.string(),
  kind: z.string(),
})
const Out: z.ZodObject<{ name: z.ZodString; doneBy: z.ZodString }> = z.object({
  name: z.string(),
  doneBy: z.string(),
})

type None = Readonly<Record<never, StandardSchema>>

export type JobsMethods = { readonly run: Method<'unary', typeof In, typeof Out, None> }

export const Jobs: Contract<JobsMethods> = service('crash.v1.Jobs', {
  run: rpc.unary({ in: In, out: Out }),
})

/** What becomes of the jobs, in turn: done, done at the third attempt, refused, never done. */
export const KINDS = ['ok', 'ok', 'flaky', 'refused', 'ok', 'doomed'] as const

const CALLS_AT_ONCE = 24
/** Calls made before are made again under their keys, so often. */
const AGAIN_EVERY = 5

async function provide(channel: Channel, instanceId: string): Promise<void> {
  let count = 0
  const provider = serve(
    channel,
    Jobs,
    {
      run: async ({ name, kind }, { durable }) => {
        count += 1
        // So that some are under way whenever somebody is killed.
        await new Promise((resolve) => setTimeout(resolve, 2))
        if (kind === 'doomed') throw new RpcError('ABORTED', 'never')
        if (kind === 'flaky' && durable!.attempt < 3) throw new RpcError('UNAVAILABLE', 'not yet')
        if (kind === 'refused')
          throw new RpcError('FAILED_PRECONDITION', `by ${instanceId} ${count}`)
        // Each attempt has another answer: two outcomes of one call would differ.
        return { name, doneBy: `${instanceId} ${count}` }
      },
    },
    { instanceId, concurrency: 16 },
  )
  await provider.ready
  process.stdout.write('ready\n')
}

/** Writes `accepted NAME ID` for each call that is stored, and `ended NAME OUTCOME`. */
async function call(channel: Channel, first: number): Promise<void> {
  const jobs = createClient(Jobs, channel)
  let next = first
  const loop = async (): Promise<never> => {
    for (;;) {
      const number = next++
      const name = `job-${number}`
      const kind = KINDS[number % KINDS.length]!
      const stored = await jobs.run.durable({ name, kind }, { key: name, deadlineMs: 60_000 })
      process.stdout.write(`accepted ${name} ${stored.id}\n`)
      if (number % AGAIN_EVERY !== 0) continue
      const old = `job-${Math.max(number - CALLS_AT_ONCE, 0)}`
      const oldKind = KINDS[Math.max(number - CALLS_AT_ONCE, 0) % KINDS.length]!
      const again = await jobs.run.durable(
        { name: old, kind: oldKind },
        { key: old, deadlineMs: 60_000 },
      )
      process.stdout.write(`accepted ${old} ${again.id}\n`)
      if (oldKind === 'ok') {
        const { doneBy } = await again.result({ deadlineMs: 60_000 })
        process.stdout.write(`ended ${old} ${doneBy}\n`)
      }
    }
  }
  process.stdout.write('ready\n')
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, loop))
}

if (import.meta.main) {
  const [what, url = '', argument = ''] = process.argv.slice(2)
  const channel = connectChannel(url)
  if (what === 'provide') await provide(channel, argument)
  else await call(channel, Number(argument))
}
