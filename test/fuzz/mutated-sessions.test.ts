/** Sessions with one or two things wrong, beside an honest client on the same broker. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { FuzzArena, type Cases } from './fuzz-arena.ts'
import { runCase } from './fuzz-case.ts'
import { ONLY_CASE } from './fuzz-settings.ts'
import { mutate } from './mutations.ts'
import { bytesOf, describePieces } from './pieces.ts'
import { randomSession } from './sessions.ts'
import { Tally } from './tally.ts'

/** What the caches may keep when all is over; a leak in thousands of cases is above it. */
const GROWTH_BYTES_MAX = 32 * 1024 * 1024

/** What a thousand cases must have met, or they tested less than they say. */
const EXPECTED = ['403', '404', '406', '501', '502', '503', '504', '505', '530', '540']

let arena: FuzzArena
before(async () => {
  arena = await FuzzArena.open('mutated')
})
after(async () => arena[Symbol.asyncDispose]())

test('a session with a fault in it ends in an AMQP error or a clean close', async (context) => {
  const tally = new Tally()
  const run: Cases['run'] = async (draw, note) => {
    const { pieces, note: what } = mutate(randomSession(draw, arena.target), draw)
    note(`${what}: ${describePieces(pieces)}`)
    const outcome = await runCase(arena.target, Buffer.concat(pieces.map(bytesOf)), draw)
    tally.add(`ended by ${outcome.endedBy}`)
    for (const { code } of outcome.refusals) tally.add(String(code))
  }
  // The first cases warm caches and code up; growth counts from there.
  await arena.run({ count: 200, run })
  const beforeBytes = await arena.heldBytes()
  await arena.run({ count: 800, run })
  context.diagnostic(tally.text)
  await arena.checkNothingLeft(beforeBytes, GROWTH_BYTES_MAX)
  if (ONLY_CASE !== null) return
  for (const code of EXPECTED) assert.ok(tally.has(code), `no case met ${code}: ${tally.text}`)
})
