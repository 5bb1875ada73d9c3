/**
 * Runs seeds one after the other: `node seed-process.ts '{"seeds":[1,2],"bug":null}'`. Each that
 * ends well is a line of its seed and how often it crashed; the first that fails ends the process.
 *
 * A process of its own, for node:test watches every promise and callback of its process, which
 * doubles the time of a seed, and because a planted bug must go when it was found.
 */
import { PLANTED_BUGS } from './planted-bugs.ts'
import { Simulation } from './simulation.ts'

const ACTIONS = 250

const { seeds, bug } = JSON.parse(process.argv[2]!) as {
  readonly seeds: readonly number[]
  readonly bug: string | null
}
if (bug !== null) PLANTED_BUGS[bug]!()
for (const seed of seeds) {
  const simulation = new Simulation(seed)
  await simulation.run(ACTIONS)
  process.stdout.write(`${seed} ${simulation.crashCount}\n`)
}
