import { afterAll, beforeAll, expect, test } from 'vitest'
import { inLocalTime, pieces } from './moments'

const zone = process.env.TZ
beforeAll(() => void (process.env.TZ = 'America/Los_Angeles')) // 8 hours behind UTC in November
afterAll(() => void (process.env.TZ = zone))
const now = Date.parse('2026-11-28T04:30:00Z') // 27 Nov, 20:30 there
const time = (text: string, at: string) => ({ text, at })

test('moments of a sentence are shown in the zone of the browser', () => {
  const text = 'The last record is from 2026-11-28 04:06:38 UTC.'
  const times = [time('04:06:38 UTC', '2026-11-28T04:06:38Z'), time('2026-11-28 04:06:38 UTC', '2026-11-28T04:06:38Z')]
  expect(pieces(text, times, now)).toEqual(['The last record is from ', { at: '2026-11-28T04:06:38Z', shown: '20:06:38' }, '.'])
  const two = [time('04:06:24 UTC', '2026-11-28T04:06:24Z'), time('04:06:25 UTC', '2026-11-28T04:06:25Z')]
  expect(inLocalTime('No output since 04:06:24 UTC, no CPU since 04:06:25 UTC', two, now)).toBe('No output since 20:06:24, no CPU since 20:06:25')
})

test('a moment of another day has its date', () => {
  expect(inLocalTime('Seen at 2026-11-26 12:00:00 UTC', [time('2026-11-26 12:00:00 UTC', '2026-11-26T12:00:00Z')], now)).toBe('Seen at 26 Nov 04:00:00')
  expect(inLocalTime('Seen at 2025-01-02 23:00:00 UTC', [time('2025-01-02 23:00:00 UTC', '2025-01-02T23:00:00Z')], now)).toBe('Seen at 2 Jan 2025 15:00:00')
})

test('a time without a date is the one closest to the moment beside it', () => {
  expect(inLocalTime('at 23:59:00 UTC', [time('23:59:00 UTC', '2026-11-19T23:59:00Z')], now)).toBe('at 19 Nov 15:59:00')
  expect(inLocalTime('at 00:01:00 UTC', [time('00:01:00 UTC', '2026-11-20T00:01:00Z')], now)).toBe('at 19 Nov 16:01:00')
})

test.each(['', 'Exited with code 3.', 'at 04:06:24', '99:99:99 UTC', 'it printed 2026-11-28T04:06:38Z'])('%j stays as it is', (text) => {
  const times = [time('04:06:38 UTC', '2026-11-28T04:06:38Z')]
  expect(inLocalTime(text, times, now)).toBe(text)
  expect(pieces(text, null, now).every((p) => typeof p === 'string')).toBe(true)
})

test('what is quoted in a sentence stays as it is', () => {
  const line = 'ERROR 2026-11-28 04:06:38 UTC: no space'
  const quoted = ['', line, 'waits for 04:07:00 UTC']
  const times = [time('04:06:38 UTC', '2026-11-28T04:06:38Z'), time('2026-11-28 04:06:38 UTC', '2026-11-28T04:06:38Z'), time('04:07:00 UTC', '2026-11-28T04:07:00Z'), time('04:08:00 UTC', '2026-11-28T04:08:00Z')]
  expect(inLocalTime(line, times, now, quoted)).toBe(line)
  expect(inLocalTime('waits for 04:07:00 UTC', times, now, quoted)).toBe('waits for 04:07:00 UTC')
  expect(inLocalTime(`${line} ${line}. Lost at 04:08:00 UTC.`, times, now, quoted)).toBe(`${line} ${line}. Lost at 20:08:00.`)
  expect(pieces(`${line}. Lost at 04:08:00 UTC.`, times, now, quoted)).toEqual([`${line}. Lost at `, { at: '2026-11-28T04:08:00Z', shown: '20:08:00' }, '.'])
  expect(inLocalTime('04:06:38 UTC', times, now, quoted)).toBe('20:06:38')
})
