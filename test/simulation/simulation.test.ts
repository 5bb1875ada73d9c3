import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Simulation } from './simulation.ts'

/** Seeds to run alone, as a failure names them, such as `17,4711`. */
const SEEDS = process.env['WAYSTATION_SIMULATION_SEEDS']
/** How many seeds, from 1 on, run otherwise. */
const RUNS = Number(process.env['WAYSTATION_SIMULATION_RUNS'] ?? 60)
const ACTIONS = 250

const seeds = SEEDS?.split(',').map(Number) ?? Array.from({ length: RUNS }, (_, at) => at + 1)

let crashCount = 0

for (const seed of seeds) {
  test(`a broker among crashes is what its model says: seed ${seed}`, async () => {
    const simulation = new Simulation(seed)
    await simulation.run(ACTIONS)
    crashCount += simulation.crashCount
  })
}

test('a simulation crashes often', () => {
  assert.ok(crashCount >= seeds.length, `${crashCount} crashes in ${seeds.length} runs`)
})
