import { expect, test } from 'vitest'
import type { Gate } from './api/types'
import { clock } from './format'
import { comesLater, needsPeople, startsAbout, waits, waitsFor } from './waiting'

const now = Date.parse('2026-03-01T12:00:00Z')
const later = '2026-03-01T12:02:05Z'
const gate = (name: Gate['gate'], text: string, opens_at?: string): Gate => ({ gate: name, text, ...(opens_at ? { opens_at } : {}) })

test('every closed gate is a line, with the time that it stays closed', () => {
  const gates = [gate('not_before', 'May start at 12:02.', later), gate('group', 'The group db has 4 of 4 places taken.')]
  expect(waitsFor({ gates, ahead: 0 }, now)).toEqual(['May start at 12:02. Opens in 2 m 5 s.', 'The group db has 4 of 4 places taken.'])
  expect(waitsFor({ gates, ahead: 0 }, Date.parse(later))[0]).toBe('May start at 12:02.')
})

test('times of a gate are in the time zone of the browser', () => {
  const text = 'Worker w7 is not offered report until 2026-03-01 12:02:05 UTC, because 3 claims of it ended without a start (3 given back), the last one because no room.'
  const gates = [{ ...gate('withheld', text, later), sentence_times: [{ text: '2026-03-01 12:02:05 UTC', at: later }] }]
  expect(waitsFor({ gates, ahead: 0 }, now)).toEqual([text.replace('2026-03-01 12:02:05 UTC', clock(later)) + ' Opens in 2 m 5 s.'])
  expect(needsPeople({ gates })).toBeUndefined()
})

test('a run that was given to a worker, and one that nothing keeps', () => {
  expect(waitsFor({ gates: [], ahead: 0, worker: 'w7' }, now)).toEqual(['Given to w7, starting.'])
  expect(waitsFor({ gates: [], ahead: 0 }, now)[0]).toMatch(/^Nothing keeps it/)
})

test('some gates stay closed until somebody does something', () => {
  expect(needsPeople({ gates: [gate('group', ''), gate('no_worker', '')] })).toBe('no_worker')
  expect(needsPeople({ gates: [gate('held', '')] })).toBe('held')
  expect(needsPeople({ gates: [gate('group', ''), gate('no_slot', '')] })).toBeUndefined()
})

test('how many come first is shown where that matters', () => {
  expect(comesLater({ gates: [gate('no_slot', '')], ahead: 2 })).toBe(true)
  expect(comesLater({ gates: [gate('turn', '2 runs come first.')], ahead: 2 })).toBe(false)
  expect(comesLater({ gates: [gate('no_worker', '')], ahead: 2 })).toBe(false)
  expect(comesLater({ gates: [], ahead: 0 })).toBe(false)
})

test('about when a run starts', () => {
  const today = new Date(later)
  const time = `${String(today.getHours()).padStart(2, '0')}:${String(today.getMinutes()).padStart(2, '0')}`
  expect(startsAbout({ gates: [gate('no_slot', '')], starts_about: later }, now)).toBe(time)
  expect(startsAbout({ gates: [], starts_about: later }, Date.parse(later) + 1)).toBe('now')
  expect(startsAbout({ gates: [], worker: 'w7' }, now)).toBe('now')
  expect(startsAbout({ gates: [gate('no_worker', '')] }, now)).toBe('never')
  expect(startsAbout({ gates: [gate('group', '')] }, now)).toBe('–')
})

test('waits in words', () => {
  const since = (seconds: number) => ({ since: new Date(now - seconds * 1000).toISOString() })
  expect(waits([since(1), since(40), since(720)], now)).toBe('median wait 40 s, longest 12 m')
  expect(waits([], now)).toBe('')
})
