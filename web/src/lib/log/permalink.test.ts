import { expect, test } from 'vitest'
import { attemptURL, formatHash, linesURL, parseAttempt, parseHash, select } from './permalink'

test.each([
  ['#L12', { from: 12, to: 12 }],
  ['L12-L30', { from: 12, to: 30 }],
  ['#L30-12', { from: 12, to: 30 }],
  ['#L0', null],
  ['#L', null],
  ['#events', null],
  ['', null],
])('%s', (hash, want) => expect(parseHash(hash)).toEqual(want))

test('a range survives its own form', () => {
  for (const r of [{ from: 1, to: 1 }, { from: 7, to: 9 }]) expect(parseHash(formatHash(r))).toEqual(r)
})

test('selection', () => {
  expect(select(null, 5, true)).toEqual({ from: 5, to: 5 })
  expect(select({ from: 5, to: 5 }, 9, true)).toEqual({ from: 5, to: 9 })
  expect(select({ from: 5, to: 9 }, 2, true)).toEqual({ from: 2, to: 5 })
  expect(select({ from: 5, to: 9 }, 7, false)).toEqual({ from: 7, to: 7 })
})

test('an address of lines names their attempt', () => {
  const url = linesURL('http://h/ops/runs/x?attempt=3&q=a#L1', 1, { from: 2, to: 4 })
  expect(url.href).toBe('http://h/ops/runs/x?attempt=1&q=a#L2-L4')
  expect(parseAttempt(url.search)).toBe(1)
  expect(attemptURL(url.href, 2).href).toBe('http://h/ops/runs/x?attempt=2&q=a')
  expect(attemptURL(url.href, 0).href).toBe('http://h/ops/runs/x?q=a')
})

test.each(['', '?attempt=', '?attempt=0', '?attempt=-1', '?attempt=1e3', '?attempt=12345678901'])('%s names no attempt', (search) => {
  expect(parseAttempt(search)).toBe(0)
})
