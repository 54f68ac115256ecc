import { expect, test } from 'vitest'
import { placeIn } from './yaml'

test('a message leads to its place', () => {
  const text = 'a: 1\nbb: x y\nc: 3'
  expect(placeIn('line 2, column 5: not a duration', text)).toEqual({ line: 2, from: 9, to: 12 })
  expect(placeIn('line 3: unknown', text)).toEqual({ line: 3, from: 13, to: 17 })
  expect(placeIn('at 2:3 something', text)).toEqual({ line: 2, from: 7, to: 12 })
  expect(placeIn('line 9: far', text)).toBeNull()
  expect(placeIn('no place', text)).toBeNull()
})
