import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cellText, formatTable } from './table.ts'

test('columns are as wide as what is in them, numbers end together', () => {
  const columns = [
    { title: 'name', value: (row: Readonly<Record<string, unknown>>) => row['name'] },
    {
      title: 'ready',
      value: (row: Readonly<Record<string, unknown>>) => row['ready'],
      isNumber: true,
    },
  ]
  const rows = [
    { name: 'orders', ready: 5 },
    { name: '', ready: 123_456 },
  ]
  assert.equal(formatTable(columns, rows), 'name     ready\norders       5\n-       123456\n')
})

test('a name cannot move the cursor', () => {
  assert.equal(cellText('a\u001b[2Jb\nc\u202ed\u009be'), 'a\uFFFD[2Jb\uFFFDc\uFFFDd\uFFFDe')
})

test('every kind of value has a text', () => {
  assert.deepEqual([null, undefined, '', true, false, 0, { a: 1 }, 'x'].map(cellText), [
    ...['-', '-', '-', 'yes', 'no', '0', '{"a":1}', 'x'],
  ])
})
