import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configSchema } from './config-schema.ts'
import { formatDuration, formatSize, parseDurationMs, parseSize } from './quantity.ts'
import { notedKeys } from './setting-notes.ts'
import { type SettingFacts, settingReference } from './setting-reference.ts'

/** What the schema makes of a setting that is given as text. */
function parsed({ key }: SettingFacts, value: string): { readonly success: boolean } {
  const nested = key.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value)
  return configSchema.safeParse(nested)
}

test('every setting says what it does, what it may be and how it is set', () => {
  const settings = settingReference()
  assert.ok(settings.length > 100)
  for (const { key, about, type, flag, environment } of settings) {
    assert.match(about, /^[A-Z`].*\.$/, key)
    assert.notEqual(type, '', key)
    assert.match(flag, /^--/, key)
    assert.match(environment, /^WAYSTATION_[A-Z0-9_]+$/, key)
  }
  const keys = new Set(settings.map(({ key }) => key))
  for (const key of notedKeys()) assert.ok(keys.has(key), `a note is there for '${key}'`)
})

test('a default that is a value, and each end of the limits, is one that the schema takes', () => {
  let count = 0
  for (const setting of settingReference()) {
    const { fallback, limits, type } = setting
    const isValue = !/^$|[`' ]/.test(fallback)
    const ends = /^[\w.]+ to [\w.]+$/.test(limits) ? limits.split(' to ') : []
    const values = type === 'one of' ? limits.split(', ') : ends
    for (const value of isValue ? [...values, fallback] : values) {
      count++
      assert.ok(parsed(setting, value).success, `${setting.key}: ${value}`)
    }
    const beyond = ends[1] === undefined ? null : `${ends[1]}0`.replace(/^(\d+)(\D+)0$/, '$19$2')
    if (beyond !== null) assert.ok(!parsed(setting, beyond).success, `${setting.key}: ${beyond}`)
  }
  assert.ok(count > 100)
})

test('sizes and durations are written as they are read', () => {
  for (const bytes of [0, 1, 1023, 1024, 1536, 128 * 1024, 16 * 1024 ** 2, 2 ** 40, 2 ** 50]) {
    assert.equal(parseSize(formatSize(bytes)), bytes)
  }
  for (const ms of [0, 1, 1500, 60_000, 65_535_000, 3_600_000, 86_400_000]) {
    assert.equal(parseDurationMs(formatDuration(ms)), ms)
  }
  assert.deepEqual([formatSize(16 * 1024 ** 2), formatDuration(90_000)], ['16MiB', '90s'])
})
