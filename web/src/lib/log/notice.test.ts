import { expect, test } from 'vitest'
import { emptyText, noticeOf, type LogCondition } from './notice'

const fine: LogCondition = { error: null, searchError: null, searchDone: null, missing: null, lines: 30, live: false, message: '' }
const tooSlow = { stopped: 'time', next_line: 1200, matches: 0, lines: 0, bytes: 0 }

test('a log in order needs no notice', () => {
  expect(noticeOf(fine)).toBeNull()
  expect(noticeOf({ ...fine, searchDone: { ...tooSlow, stopped: 'limit' } })).toBeNull()
})

test('the most serious notice comes first', () => {
  const all: LogCondition = {
    ...fine, error: new Error('no'), searchError: { status: 400, message: 'bad pattern' }, searchDone: tooSlow, missing: { from: 400, to: 400 }, message: 'Copied',
  }
  const order = [
    ['error', /could not be read: no$/],
    ['error', /^bad pattern$/],
    ['warning', /stopped at line 1,200/],
    ['warning', /^Line 400 is not in this log: it has 30 lines\./],
    ['info', /^Copied$/],
  ] as const
  const without = [{ error: null }, { searchError: null }, { searchDone: null }, { missing: null }, { message: '' }]
  let c = all
  order.forEach(([tone, text], i) => {
    expect(noticeOf(c)?.tone).toBe(tone)
    expect(noticeOf(c)?.text).toMatch(text)
    c = { ...c, ...without[i] }
  })
  expect(noticeOf(c)).toBeNull()
})

test('a server without search, and a log that grows', () => {
  expect(noticeOf({ ...fine, searchError: { status: 404, message: 'not found' } })?.text).toMatch(/cannot search logs/)
  expect(noticeOf({ ...fine, live: true, missing: { from: 400, to: 401 } })?.text).toMatch(/30 lines so far/)
})

test('an empty log says why it is empty', () => {
  expect(emptyText({ filtering: true, stream: 'stderr', live: true })).toBe('No line matches.')
  expect(emptyText({ filtering: false, stream: 'stderr', live: true })).toBe('Nothing was printed on stderr.')
  expect(emptyText({ filtering: false, stream: null, live: true })).toMatch(/^Nothing printed yet/)
  expect(emptyText({ filtering: false, stream: null, live: false })).toBe('This attempt printed nothing.')
})
