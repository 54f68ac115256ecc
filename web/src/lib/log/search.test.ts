import { expect, test } from 'vitest'
import { highlight, nextOf, pattern, previousOf } from './search'

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
