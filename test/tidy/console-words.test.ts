import assert from 'node:assert/strict'
import { test } from 'node:test'
import { en } from '../../console/src/words/en.ts'
import { zh } from '../../console/src/words/zh.ts'

// Whoever reads only one of the languages must not meet a hole in it.
test('both dictionaries of the console have the same keys, filled, with the same places', () => {
  assert.deepEqual(Object.keys(zh), Object.keys(en))
  for (const [key, text] of Object.entries<string>(en)) {
    const other = zh[key as keyof typeof en]
    assert.notEqual(text.trim(), '', key)
    assert.notEqual(other.trim(), '', key)
    const places = (from: string): string[] => (from.match(/\{\w+\}/g) ?? []).toSorted()
    assert.deepEqual(places(other), places(text), key)
  }
  const untranslated = Object.entries<string>(zh).filter(
    ([, text]) => !/\p{Script=Han}/u.test(text),
  )
  assert.deepEqual(
    untranslated.map(([key]) => key),
    ['app.title'],
  )
})
