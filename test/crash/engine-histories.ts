/**
 * Histories of a store among crashes: `node engine-histories.ts RUNS`. It writes how many crashes
 * there were; a history that ends badly ends the process, with the seed to run it again.
 *
 * A process of its own, for node:test watches every promise of its process, which triples the time.
 */
import fc from 'fast-check'
import { EngineHarness } from './engine-harness.ts'
import type { LogName, Step } from './engine-harness.ts'

const RUNS = Number(process.argv[2])

const logName = fc.constantFrom<LogName>('a', 'b', 'c')
const percent = fc.nat(100)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      log: logName,
      size: fc.oneof(fc.nat(64), fc.nat(900), fc.nat(6000)),
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('commit' as const),
      level: fc.constantFrom('synced' as const, 'synced' as const, 'written' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('kv' as const), key: fc.nat(3), size: fc.nat(200) }),
  },
  { weight: 2, arbitrary: fc.constant<Step>({ do: 'wait' }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('discard' as const),
      log: logName,
      from: percent,
      to: percent,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), log: logName }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'close' }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fill' as const), bytes: fc.nat(4000) }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'empty' }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('crash' as const),
      power: fc.boolean(),
      after: fc.nat(30),
      seed: fc.nat(1_000_000),
    }),
  },
)

// The process may be killed, or the power cut, between any two changes of the disk; and the disk
// may be full before.
let crashCount = 0
await fc.assert(
  fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 80, size: 'max' }), async (steps) => {
    const harness = new EngineHarness()
    await harness.run(steps)
    crashCount += harness.crashCount
  }),
  { numRuns: RUNS, timeout: 10_000 },
)
process.stdout.write(`${crashCount}\n`)
