import { describe, expect, it } from 'vitest'
import type { CalendarDay, CalendarTime } from './api/types'
import { addDays, addMonths, countsOf, countsText, dayText, hoursOf, mostPerDay, outcomeWord, shiftText, timeLabel, todayOf, weeksOf } from './calendar'

const day = (d: string, at: string, ...counts: CalendarDay['counts']): CalendarDay => ({ day: d, at, counts })
const time = (at: string, more: Partial<CalendarTime> = {}): CalendarTime => ({ at, last: at, count: 1, result: 'ran', schedule: 1, ...more })

describe('calendar', () => {
  it('lays a month out in weeks from Monday', () => {
    const days = Array.from({ length: 31 }, (_, i) => day(addDays('2026-11-01', i), ''))
    const weeks = weeksOf(days)
    expect(weeks).toHaveLength(6)
    expect(weeks[0]?.map((d) => d?.day ?? '-').join(' ')).toBe('- - - - - - 2026-11-01')
    expect(weeks.flat().filter(Boolean)).toHaveLength(30) // not the 1st of December
    expect(weeksOf([])).toEqual([])
  })
  it('moves over ends of months and years', () => {
    expect(addDays('2026-12-31', 1)).toBe('2027-01-01')
    expect(addMonths('2026-01-31', 1)).toBe('2026-02-01')
    expect(addMonths('2026-01-31', -1)).toBe('2025-12-01')
    expect(dayText('2026-11-03')).toBe('Tue 3 Nov 2026')
  })
  it('knows today by the first instants of days, in whatever zone', () => {
    const days = [day('2026-11-28', '2026-11-28T00:00:00+14:00'), day('2026-11-29', '2026-11-29T00:00:00+14:00'), day('2026-11-30', '2026-11-30T00:00:00+14:00')]
    expect(todayOf(days, Date.parse('2026-11-28T09:59:00Z'))).toBe('2026-11-28')
    expect(todayOf(days, Date.parse('2026-11-28T10:00:00Z'))).toBe('2026-11-29')
    expect(todayOf(days, Date.parse('2026-11-30T00:00:00Z'))).toBe('2026-11-30')
    expect(todayOf(days, Date.parse('2026-12-03T00:00:00Z'))).toBeNull()
    expect(todayOf(days, Date.parse('2026-11-20T00:00:00Z'))).toBeNull()
  })
  it('has an hour that comes twice twice', () => {
    const names = hoursOf([time('2026-10-25T01:30:00+02:00'), time('2026-10-25T02:00:00+02:00'), time('2026-10-25T02:30:00+02:00'), time('2026-10-25T02:00:00+01:00')]).map((h) => `${h.name}: ${h.times.length}`)
    expect(names).toEqual(['01:00: 1', '02:00 +02:00: 2', '02:00 +01:00: 1'])
    expect(hoursOf([time('2026-10-25T02:00:00Z')])[0]?.name).toBe('02:00')
  })
  it('counts, and says first what went wrong', () => {
    const counts = countsOf([time('a', { state: 'succeeded' }), time('b', { state: 'succeeded' }), time('c', { state: 'failed' }), time('d', { result: 'missed', count: 3000 }), time('e', { result: 'planned' })])
    expect(countsText(counts)).toBe('1 failed, 3,000 missed, 2 succeeded, 1 planned')
    expect(countsText(countsOf([time('a', { result: 'planned', paused: true }), time('b', { result: 'paused' }), time('c', { result: 'planned' })]))).toBe('2 paused, 1 planned')
    expect(mostPerDay([day('a', '', ...counts), day('b', '')])).toBe(3004)
    expect(mostPerDay([])).toBe(0)
  })
  it('says everything about a time', () => {
    expect(timeLabel(time('2026-11-03T02:30:00+01:00', { result: 'skipped', why: 'report#12 is running' }))).toBe('Tue 3 Nov 2026 02:30: skipped: report#12 is running')
    expect(timeLabel(time('2026-11-03T02:30:00+01:00', { result: 'ran_late', state: 'failed', run: 'x', number: 7, why: 'started 2 h late' }))).toBe('Tue 3 Nov 2026 02:30: failed late, run #7: started 2 h late')
    expect(timeLabel(time('2026-11-03T02:30:00+01:00', { result: 'missed', count: 20, last: '2026-11-04T02:30:00+01:00', expected: true, schedule: undefined }))).toBe('Tue 3 Nov 2026 02:30 to Wed 4 Nov 2026 02:30, 20 times, expected: missed')
    expect(outcomeWord({ result: 'ran', state: 'running' })).toBe('running')
    expect(outcomeWord({ result: 'missed', state: 'succeeded' })).toBe('missed, then succeeded')
    expect(shiftText(60)).toBe('+1 h')
    expect(shiftText(-30)).toBe('−30 min')
  })
})
