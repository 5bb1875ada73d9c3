import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EVERY_NAME, parsePermission, renderPermission } from './acl-patterns.ts'

// An operator may have written any regular expression before an ACL is added to it.
test('what is rendered reads as it was, whatever names hold', () => {
  const name = fc.string({ minLength: 1, maxLength: 12 }).filter((text) => text !== '*')
  const pattern = fc.record({ name, isPrefix: fc.boolean() }, { noNullPrototype: true })
  const rest = fc.constantFrom(null, '^amq', '^(a|b)$', 'x|y')
  fc.assert(
    fc.property(fc.array(pattern, { minLength: 1, maxLength: 5 }), rest, (patterns, other) => {
      const expression = renderPermission({ patterns, rest: other })
      assert.deepEqual(parsePermission(expression), { patterns, rest: other })
      const compiled = new RegExp(expression, 's')
      for (const { name: held, isPrefix } of patterns) {
        assert.ok(compiled.test(held))
        if (isPrefix) assert.ok(compiled.test(`${held}more`))
      }
    }),
  )
})

test('the expressions that stand for nothing and for all are known', () => {
  assert.deepEqual(parsePermission(''), { patterns: [], rest: null })
  assert.deepEqual(parsePermission('.*'), { patterns: [EVERY_NAME], rest: null })
  assert.equal(renderPermission({ patterns: [EVERY_NAME], rest: null }), '.*')
  assert.equal(renderPermission({ patterns: [], rest: null }), '')
})

test('an expression that is no list of names is kept beside what is added', () => {
  const parts = parsePermission('^tmp-[0-9]+$')
  assert.deepEqual(parts, { patterns: [], rest: '^tmp-[0-9]+$' })
  const added = renderPermission({ ...parts, patterns: [{ name: 'orders', isPrefix: false }] })
  const compiled = new RegExp(added)
  assert.ok(compiled.test('tmp-12') && compiled.test('orders'))
  assert.ok(!compiled.test('orders2'))
})
