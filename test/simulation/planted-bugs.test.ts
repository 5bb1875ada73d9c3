import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PLANTED_BUGS } from './planted-bugs.ts'
import { firstSeeds, runSeeds } from './seeds.ts'

const SEEDS_MAX = 100

for (const bug of Object.keys(PLANTED_BUGS)) {
  test(`the simulation finds ${bug}`, async () => {
    const { failure } = await runSeeds(firstSeeds(SEEDS_MAX), bug)
    assert.ok(failure !== null, `not found in ${SEEDS_MAX} seeds`)
    // A bug that cannot even run would prove nothing.
    assert.doesNotMatch(failure.text, /TypeError|ReferenceError|SyntaxError|said nothing/)
  })
}
