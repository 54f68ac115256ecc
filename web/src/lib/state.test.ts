import { expect, test } from 'vitest'
import type { Run } from './api/types'
import { acknowledgedBy, exceedsUsual, lateText, peakMemory, title } from './state'
import { testRun as run } from './testrun'

const now = Date.parse('2026-03-01T12:00:00Z')

test('a run that was delivered late says so', () => {
  expect(lateText(run({}))).toBe('')
  expect(lateText(run({ delivered_late_seconds: 7200 }))).toBe('delivered 2 h later')
})

test('only a time clearly over the usual one is marked', () => {
  const usual = { runs: 3, p50: 10, p95: 10 }
  expect([10.5, 11.1].map((s) => exceedsUsual(usual, s))).toEqual([false, true])
  expect(exceedsUsual({ ...usual, runs: 2 }, 100)).toBe(false)
  expect(exceedsUsual(null, 100)).toBe(false)
})

test('title begins with the state', () => {
  expect(title(run({ state: 'timed_out' }))).toBe('⏱ train #4 timed out · Stint')
})

test('an acknowledgement says who, when and why', () => {
  const a = { by: 'ada', at: new Date(now - 720_000).toISOString(), attempt: 1, state: 'failed' }
  expect(acknowledgedBy(a, now)).toBe('acknowledged by ada 12 m ago')
  expect(acknowledgedBy({ ...a, by: '', why: 'on it' }, now)).toBe('acknowledged by somebody 12 m ago: on it')
})

test('the peak of memory is the one that the verdict names', () => {
  const usage = { ...run({}).usage, peak_memory_bytes: 134 }
  expect(peakMemory(run({ usage }))).toBe(134)
  const outcome = { state: 'failed', reason: 'out_of_memory', oom: { peak_bytes: 128, limit_bytes: 128 } } as unknown as Run['outcome']
  expect(peakMemory(run({ usage, outcome }))).toBe(128)
})
