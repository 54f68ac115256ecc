import { expect, test } from 'vitest'
import type { Due } from './api/types'
import { dueText, expectedText } from './due'

const now = Date.parse('2026-01-02T05:00:00Z')
const base: Due = {
  state: 'ok', cron: '0 3 * * *', zone: 'UTC', grace_seconds: 3600, next_due_at: null, missed_at: null, last_start_at: null, set_at: '', set_by: '',
}

test('says when a job is expected', () => {
  expect(expectedText(base)).toBe('expected at 0 3 * * * UTC, 1 h of grace')
  expect(expectedText({ ...base, cron: undefined, zone: undefined, every_seconds: 900 })).toMatch(/^expected every 15/)
})

test('says what is missed', () => {
  expect(dueText({ ...base, state: 'missed', missed_since: '2026-01-02T03:00:00Z', missed_times: 1 }, now)).toBe('missed: was due 2 h ago, and has not started')
  expect(dueText({ ...base, state: 'missed', missed_since: '2026-01-01T03:00:00Z', missed_times: 2 }, now)).toMatch(/ and 1 time since, and has not started$/)
})

test('says what is due, new and paused', () => {
  expect(dueText({ ...base, state: 'due', next_due_at: '2026-01-02T04:00:00Z', missed_at: '2026-01-02T05:00:00Z' }, now)).toMatch(/^due 1 h ago, missed at /)
  expect(dueText({ ...base, next_due_at: '2026-01-03T03:00:00Z' }, now)).toMatch(/^next due /)
  expect(dueText(base, now)).toBe('as expected')
  expect(dueText({ ...base, state: 'new' }, now)).toBe('nothing is due before the first start')
  expect(dueText({ ...base, state: 'paused' }, now)).toBe('paused: nothing is due')
})
