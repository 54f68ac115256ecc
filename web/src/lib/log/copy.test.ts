import { expect, test } from 'vitest'
import type { LogLine } from '../api/types'
import { ordered, readBetween, textBetween, TooLongError } from './copy'

const line = (n: number, text: string): LogLine => ({ n, at: '', step: 0, stream: 'stdout', text })

test('the first and the last line are cut at the ends of the selection', () => {
  const lines = [1, 2, 3, 4].map((n) => line(n, `line ${n}`))
  expect(textBetween(lines, { n: 2, offset: 5 }, { n: 4, offset: 4 })).toBe('2\nline 3\nline')
  expect(textBetween(lines, { n: 2, offset: 1 }, { n: 2, offset: 3 })).toBe('in')
  expect(textBetween(lines, { n: 1, offset: 0 }, { n: 9, offset: Infinity })).toBe('line 1\nline 2\nline 3\nline 4')
})

test('what is copied is what is drawn', () => {
  expect(textBetween([line(1, '\x1b[31mred\x1b[0m'), line(2, '10%\r20%\r30%')], { n: 1, offset: 1 }, { n: 2, offset: 9 })).toBe('ed\n30%')
})

test('the ends are put in order', () => {
  const [a, b] = [{ n: 2, offset: 7 }, { n: 3, offset: 0 }]
  expect(ordered(b, a)).toEqual([a, b])
  expect(ordered({ n: 2, offset: 9 }, a)).toEqual([a, { n: 2, offset: 9 }])
})

test('many lines are read in parts, without a seam', async () => {
  const requests: [number, number][] = []
  const read = async (from: number, lines: number) => {
    requests.push([from, lines])
    return Array.from({ length: lines }, (_, i) => line(from + i, String(from + i)))
  }
  const text = await readBetween(read, { n: 10, offset: 1 }, { n: 12_000, offset: 2 })
  const want = Array.from({ length: 11_991 }, (_, i) => String(i + 10))
  want[0] = '0'
  want[want.length - 1] = '12'
  expect(text).toBe(want.join('\n'))
  expect(requests).toEqual([[10, 5000], [5010, 5000], [10_010, 1991]])
})

test('a log that ends before the selection does', async () => {
  const read = async (from: number) => (from > 5000 ? [] : [line(1, 'a'), line(2, 'b')])
  expect(await readBetween(read, { n: 1, offset: 0 }, { n: 20_000, offset: Infinity })).toBe('a\nb')
})

test('too much is refused instead of cut', async () => {
  const read = async (from: number) => [line(from, 'x'.repeat(1 << 20))]
  await expect(readBetween(read, { n: 1, offset: 0 }, { n: 1_000_000, offset: Infinity })).rejects.toThrow(TooLongError)
})
