import { expect, test } from 'vitest'
import { highlight, matchCount, nextOf, pattern, previousOf, sameQuery } from './search'

test('plain words are taken literally, patterns are not', () => {
  expect(pattern({ q: 'a.b(', regex: false, case: true })?.source).toBe('a\\.b\\(')
  expect(pattern({ q: 'a.b(', regex: true, case: true })).toBeNull()
  expect(pattern({ q: 'x+', regex: true, case: false })?.flags).toBe('giu')
  expect(pattern({ q: '', regex: false, case: false })).toBeNull()
})

test('matches are marked across the borders of spans', () => {
  const spans = [
    { text: 'loss ', cls: '' },
    { text: '0.2', cls: 'ansi-1' },
    { text: '14 loss', cls: '' },
  ]
  const re = pattern({ q: '0.214', regex: false, case: true })
  expect(highlight(spans, re)).toEqual([
    { text: 'loss ', cls: '' },
    { text: '0.2', cls: 'ansi-1 hit' },
    { text: '14', cls: 'hit' },
    { text: ' loss', cls: '' },
  ])
  expect(highlight(spans, null)).toBe(spans)
  expect(highlight(spans, pattern({ q: 'zzz', regex: false, case: true }))).toBe(spans)
})

test('a pattern that matches nothing at all ends', () => {
  expect(highlight([{ text: 'abc', cls: '' }], /x*/gu)).toEqual([{ text: 'abc', cls: '' }])
  expect(highlight([{ text: 'aXa', cls: '' }], /a|x*/giu).map((s) => s.cls)).toEqual(['hit', 'hit', 'hit'])
})

test('next and previous go round', () => {
  expect(nextOf([3, 7, 9], 3)).toBe(1)
  expect(nextOf([3, 7, 9], 9)).toBe(0)
  expect(nextOf([], 1)).toBe(-1)
  expect(previousOf([3, 7, 9], 7)).toBe(0)
  expect(previousOf([3, 7, 9], 3)).toBe(2)
  expect(previousOf([], 3)).toBe(-1)
})

test('queries are the same when all of their parts are', () => {
  const query = { q: 'a', regex: false, case: false }
  expect(sameQuery(query, { ...query })).toBe(true)
  for (const other of [{ q: 'b' }, { regex: true }, { case: true }]) expect(sameQuery(query, { ...query, ...other })).toBe(false)
})

test.each([
  [{ count: 0, current: -1, busy: true, progress: 0.304 }, '30 %'],
  [{ count: 0, current: -1, busy: false, progress: 1 }, 'none'],
  [{ count: 3, current: -1, busy: false, progress: 1 }, '3'],
  [{ count: 1200, current: 2, busy: false, progress: 1 }, '3 of 1,200'],
  [{ count: 12, current: 0, busy: true, progress: 0.5 }, '1 of 12+'],
])('the count of matches of %o is %s', (s, want) => expect(matchCount(s)).toBe(want))
