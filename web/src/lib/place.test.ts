import { expect, test } from 'vitest'
import { rangeAt } from './place'

test('a place leads to its offsets in the text', () => {
  const text = 'a: 1\nbb: x y\nc: 3'
  expect(rangeAt({ line: 2, column: 5 }, text)).toEqual({ from: 9, to: 12 })
  expect(rangeAt({ line: 3, column: 1 }, text)).toEqual({ from: 13, to: 17 })
  expect(rangeAt({ line: 2, column: 99 }, text)).toEqual({ from: 12, to: 12 })
  expect(rangeAt({ line: 9, column: 1 }, text)).toBeNull()
  expect(rangeAt({ line: 0, column: 1 }, text)).toBeNull()
  expect(rangeAt({ line: 1, column: 5 }, '# 😀😀 x')).toEqual({ from: 6, to: 8 })
})
