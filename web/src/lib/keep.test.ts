import { expect, test } from 'vitest'
import { keepText, pendingText } from './keep'

test('limits of retention are written as people write them', () => {
  for (const [setting, keep, text] of [
    ['--keep-days', 0, 'no limit'],
    ['--keep-days', 1, '1 day'],
    ['keep.days', 1.5, '1.5 days'],
    ['--keep-runs', 1, 'the last 1 run'],
    ['keep.runs', 3, 'the last 3 runs'],
  ] as const)
    expect(keepText(setting, keep)).toBe(text)
})

test('a limit that waits says what it would delete and what holds until then', () => {
  const p = { setting: '--keep-days', keep: 4, keep_now: 40, runs: 450, of: 500, seen_at: '', in_seconds: 60, applies_at: '' }
  expect(pendingText(p)).toBe('would delete 450 of 500 ended runs at once; until then: 40 days')
})
