import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nearest } from './nearest.ts'

test('a slip of the finger finds the word that was meant', () => {
  const words = ['listen', 'limits', 'log', 'data']
  assert.equal(nearest('lissten', words), 'listen')
  assert.equal(nearest('Limit', words), 'limits')
  assert.equal(nearest('dta', words), 'data')
})

test('a word that is like nothing finds nothing', () => {
  assert.equal(nearest('heartbeat', ['listen', 'log']), null)
  assert.equal(nearest('x', []), null)
})
