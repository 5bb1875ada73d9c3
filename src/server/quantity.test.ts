import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDurationMs, parseSize, parseWatermark } from './quantity.ts'

test('sizes have decimal and binary units', () => {
  const cases: [string | number, number | undefined][] = [
    [1024, 1024],
    ['1024', 1024],
    ['16MiB', 16 * 1024 * 1024],
    ['2 GB', 2_000_000_000],
    ['1.5kib', 1536],
    ['0', 0],
    ['-1', undefined],
    ['1.0001b', undefined],
    ['12 parsecs', undefined],
    ['', undefined],
    ['99999999gb', undefined],
  ]
  for (const [text, bytes] of cases) assert.equal(parseSize(text), bytes, String(text))
})

test('durations are milliseconds unless they say otherwise', () => {
  const cases: [string | number, number | undefined][] = [
    [250, 250],
    ['500ms', 500],
    ['30s', 30_000],
    ['1.5m', 90_000],
    ['1h', 3_600_000],
    ['2d', 172_800_000],
    ['1 week', undefined],
    ['s', undefined],
  ]
  for (const [text, ms] of cases) assert.equal(parseDurationMs(text), ms, String(text))
})

test('a watermark is a part or a size', () => {
  const cases: [string | number, number | undefined][] = [
    [0.6, 0.6],
    ['40%', 0.4],
    ['1', 1],
    ['2GiB', 2 * 1024 ** 3],
    ['0', 0],
    ['-0.5', undefined],
    ['1.5', undefined],
    ['', undefined],
    ['much', undefined],
  ]
  for (const [text, watermark] of cases) assert.equal(parseWatermark(text), watermark, String(text))
})
