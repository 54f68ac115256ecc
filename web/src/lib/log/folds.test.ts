import { expect, test } from 'vitest'
import { FoldMap } from './folds'

test('slots and lines without folds are the same', () => {
  const m = new FoldMap()
  expect([m.slots(10), m.lineOf(4), m.slotOf(4)]).toEqual([10, 4, 4])
})

test('a fold takes one slot; lines in it stand at that slot', () => {
  const m = new FoldMap([{ from: 8, to: 9 }, { from: 2, to: 5 }])
  // 1, [2–5], 6, 7, [8–9], 10
  expect(m.slots(10)).toBe(6)
  expect([1, 2, 3, 4, 5, 6].map((s) => m.lineOf(s))).toEqual([1, 2, 6, 7, 8, 10])
  expect([1, 2, 3, 5, 6, 7, 8, 9, 10].map((n) => m.slotOf(n))).toEqual([1, 2, 2, 2, 3, 4, 5, 5, 6])
  for (let s = 1; s <= 6; s++) expect(m.slotOf(m.lineOf(s))).toBe(s)
  expect(m.at(2)).toEqual({ from: 2, to: 5 })
  expect(m.at(3)).toBeUndefined()
})

test('a fold that the log has only begun counts as far as it goes', () => {
  expect(new FoldMap([{ from: 2, to: 100 }]).slots(4)).toBe(2)
})
