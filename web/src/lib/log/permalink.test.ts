import { expect, test } from 'vitest'
import { formatHash, parseHash, select } from './permalink'

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
