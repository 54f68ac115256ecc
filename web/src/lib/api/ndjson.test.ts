import { expect, test } from 'vitest'
import { JSONLines } from './ndjson'

test('lines come whole however the pieces are cut, and damage is left out', () => {
  const p = new JSONLines<{ a: number }>()
  expect(p.push('{"a":1}\n{"a"')).toEqual([{ a: 1 }])
  expect(p.push(':2}\n\nnot json\n{"a":3}')).toEqual([{ a: 2 }])
  expect(p.push('\n')).toEqual([{ a: 3 }])
})
