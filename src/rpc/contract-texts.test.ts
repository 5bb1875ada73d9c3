import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ContractTexts } from './contract-texts.ts'
import { CONTRACT_LENGTH_MAX, CONTRACTS_LENGTH_MAX } from './limits.ts'

test('what instances say alike is kept once, and there is an end to it', () => {
  const texts = new ContractTexts()
  const text = (at: number): string => String(at).padStart(CONTRACT_LENGTH_MAX, ' ')
  const fit = CONTRACTS_LENGTH_MAX / CONTRACT_LENGTH_MAX
  for (let at = 0; at < fit; at++) assert.notEqual(texts.hold(text(at)), null)
  assert.equal(texts.hold(text(fit)), null)
  assert.equal(texts.hold(text(0)), text(0))
  texts.release(text(0))
  assert.equal(texts.hold('a'), null)
  texts.release(text(0))
  assert.equal(texts.hold('a'), 'a')
  texts.release(null)
})

test('what is too long or nothing is not kept', () => {
  const texts = new ContractTexts()
  assert.equal(texts.hold(' '.repeat(CONTRACT_LENGTH_MAX + 1)), null)
  assert.equal(texts.hold(''), null)
  assert.equal(texts.hold(undefined), null)
})
