import { expect, test } from 'vitest'
import * as f from './format'

test.each([
  [0, '0 ms'],
  [0.0214, '21 ms'],
  [0.9997, '1 s'],
  [1.44, '1.4 s'],
  [9.96, '10 s'],
  [41.4, '41 s'],
  [59.6, '1 m'],
  [760, '12 m 40 s'],
  [7800, '2 h 10 m'],
  [86399.9, '1 d'],
  [273600, '3 d 4 h'],
  [-5, '0 ms'],
  [NaN, '–'],
])('duration of %s s', (s, want) => expect(f.duration(s)).toBe(want))

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '0.98 KiB'],
  [1024, '1 KiB'],
  [15.9 * 1024 ** 3, '15.9 GiB'],
  [1023.9 * 1024, '1 MiB'],
  [2 ** 60, '1024 PiB'],
])('bytes %s', (n, want) => expect(f.bytes(n)).toBe(want))

test.each([
  [0.001, '0'],
  [0.02, '0.02'],
  [7.84, '7.84'],
  [11.96, '12'],
  [128, '128'],
])('cores %s', (n, want) => expect(f.cores(n)).toBe(want))

test('ago', () => {
  const now = Date.parse('2026-03-01T12:00:00Z')
  expect(f.ago('2026-03-01T11:59:59.5Z', now)).toBe('now')
  expect(f.ago('2026-03-01T12:00:05Z', now)).toBe('now') // a clock ahead of ours
  expect(f.ago('2026-03-01T11:59:19Z', now)).toBe('41 s ago')
  expect(f.ago('2026-03-01T09:00:00Z', now)).toBe('3 h ago')
  expect(f.ago('2026-02-01T09:00:00Z', now)).toBe('28 d ago')
  expect(f.ago('nonsense', now)).toBe('–')
})

test('clock and offset', () => {
  expect(f.clock('2026-03-01T12:04:05.678Z', true)).toBe('12:04:05')
  expect(f.clock('x', true)).toBe('--:--:--')
  expect(f.offset('2026-03-01T12:00:41.25Z', '2026-03-01T12:00:00Z')).toBe('+0:00:41.2')
  expect(f.offset('2026-03-01T13:01:02Z', '2026-03-01T12:00:00Z')).toBe('+1:01:02.0')
  expect(f.offset('2026-03-01T13:01:02Z', null)).toBe('+?')
})

test('utc', () => {
  expect(f.utc('2026-03-01T12:04:05.678Z')).toBe('2026-03-01 12:04:05 UTC')
  expect(f.utc(null)).toBe('')
})
