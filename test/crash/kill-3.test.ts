import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runKillRounds } from './kill-rounds.ts'

const ROUNDS = Number(process.env['WAYSTATION_KILL_ROUNDS'] ?? 30)
const SEED = Number(process.env['WAYSTATION_KILL_SEED'] ?? 0) * 10 + 3

test(`kill -9 at random moments loses nothing confirmed, seed ${SEED}`, async (t) => {
  const report = await runKillRounds(SEED, ROUNDS)
  assert.ok(report.confirmed > ROUNDS, 'hardly anything was confirmed: the rounds tested nothing')
  t.diagnostic(`${report.rounds} kills, ${report.confirmed} confirmed messages`)
})
