import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileNamePattern, NAME_PATTERN_LENGTH_MAX } from './name-pattern.ts'

const fits = (pattern: string, name: string): boolean => compileNamePattern(pattern).test(name)

test('a pattern fits anywhere unless it is anchored', () => {
  assert.ok(fits('order', 'my.orders'))
  assert.ok(!fits('^order', 'my.orders'))
  assert.ok(fits('^(order|amq\\.gen\\-).*$', 'amq.gen-1'))
  assert.ok(fits('', 'anything'))
  assert.ok(!fits('^$', 'anything'))
  assert.ok(fits('^$', ''))
})

test("Perl's way to write it is understood or refused, never taken for something else", () => {
  assert.ok(fits('(?i)^ORDER', 'orders'))
  assert.ok(fits('\\Aorders\\z', 'orders'))
  assert.ok(!fits('\\Aorders\\Z', 'orders2'))
  assert.ok(fits('^\\\\Ab$', '\\Ab'), 'an escaped backslash is not an anchor')
  for (const pattern of ['\\Qa.b\\E', '\\p{L}', '[[:alpha:]]', 'a++', '[', '(', '\\h', '\\']) {
    assert.throws(() => compileNamePattern(pattern), {
      code: 'PRECONDITION_FAILED',
      message: /^pattern should be regular expression but is invalid: /,
    })
  }
})

test('the length has a limit', () => {
  assert.ok(fits('a'.repeat(NAME_PATTERN_LENGTH_MAX), 'a'.repeat(NAME_PATTERN_LENGTH_MAX)))
  assert.throws(() => compileNamePattern('a'.repeat(NAME_PATTERN_LENGTH_MAX + 1)), /limit is 1024/)
})
