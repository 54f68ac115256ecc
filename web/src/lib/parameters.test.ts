import { expect, test } from 'vitest'
import type { ParameterInput } from './api/types'
import { defaultText, givenOf, isDay, kind, mistake, pairsText, readPairs } from './parameters'

const of = (type: string, more: Partial<ParameterInput> = {}): ParameterInput => ({ name: 'X', type, ...more })

test.each<[ParameterInput, string | undefined, RegExp]>([
  [of('text'), '', /^$/],
  [of('text'), undefined, /must be given/],
  [of('text', { default: '' }), undefined, /^$/],
  [of('number'), '-2e3', /^$/],
  [of('number'), '1e999', /not a number/],
  [of('number'), '0x10', /not a number/],
  [of('number', { min: '0.1', max: '10' }), '0.09', /less than 0.1/],
  [of('number', { min: '0.1', max: '10' }), '10.1', /more than 10/],
  [of('integer'), '1.0', /whole/],
  [of('integer'), '007', /whole/],
  [of('integer', { max: '9223372036854775806' }), '9223372036854775807', /more than/],
  [of('integer', { min: '-5' }), '-5', /^$/],
  [of('date'), '2026-02-29', /not a date/],
  [of('date'), '2024-02-29', /^$/],
  [of('date'), 'yesterday', /not a date/],
  [of('date'), '2026-11-27T02:30:00+01:00', /^$/],
  [of('date', { min: '2026-01-01' }), '2025-12-31', /less than/],
  [of('boolean', { default: 'true' }), undefined, /^$/],
])('%o %s', (p, value, want) => expect(mistake(p, value)).toMatch(want))

test('what may be given, and the default', () => {
  expect(kind(of('integer', { min: '1', max: '10' }))).toBe('integer, 1 to 10')
  expect(kind(of('number', { min: '1' }))).toBe('number, from 1')
  expect(kind(of('text', { pattern: 'a|b' }))).toBe('text, matching a|b')
  expect(defaultText(of('date', { default: 'yesterday', resolved: '2026-11-27' }))).toBe('yesterday = 2026-11-27')
  expect(defaultText(of('text', { default: '' }))).toBe('(empty)')
  expect(defaultText(of('text'))).toBe('')
})

test('dates with a time are typed as text', () => {
  expect(isDay(of('date', { default: 'yesterday', resolved: '2026-11-27' }), undefined)).toBe(true)
  expect(isDay(of('date', { default: 'now', resolved: '2026-11-27T02:30:00Z' }), undefined)).toBe(false)
  expect(isDay(of('date'), '2026-11-27T02:30:00Z')).toBe(false)
  expect(isDay(of('text'), undefined)).toBe(false)
})

test('pairs are read and written', () => {
  expect(readPairs(' a=1\n b=x=y ')).toEqual({ a: '1', b: 'x=y' })
  expect(readPairs('a')).toBeNull()
  expect(readPairs('=1')).toBeNull()
  expect(pairsText({ a: '1', b: '' })).toBe('a=1 b=')
  expect(givenOf({ a: '', b: undefined })).toEqual({ a: '' })
})
