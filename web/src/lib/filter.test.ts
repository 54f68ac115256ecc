import { expect, test } from 'vitest'
import { anyFilter, queryOf, readFilters, toggleWord, writeFilters } from './filter'

const now = Date.parse('2026-05-04T12:00:30Z')

test('an address carries all filters, there and back', () => {
  const f = readFilters('?job=etl&state=failed,lost&label=team%3Da,b%3Dc&time=24h&else=1')
  expect(f).toMatchObject({ job: 'etl', state: 'failed,lost', label: 'team=a,b=c', time: '24h', host: '' })
  expect(writeFilters(f)).toEqual({ job: 'etl', state: 'failed,lost', label: 'team=a,b=c', time: '24h' })
  expect(anyFilter(f)).toBe(true)
  expect(anyFilter(readFilters('?else=1'))).toBe(false)
})

test('the query for the server', () => {
  expect(queryOf(readFilters('?label=a%3Db,%20c%3Dd&time=1h'), now)).toEqual({ label: ['a=b', 'c=d'], since: '2026-05-04T11:00:00.000Z' })
  expect(queryOf(readFilters('?time=2026-05-04T10:00..2026-05-04T11:30'), now)).toEqual({
    since: '2026-05-04T10:00:00.000Z', until: '2026-05-04T11:30:00.000Z',
  })
  expect(queryOf(readFilters('?time=..nonsense&q=x'), now)).toEqual({ q: 'x' })
})

test('chips put words in and take them out', () => {
  expect(toggleWord('', 'failed')).toBe('failed')
  expect(toggleWord('failed,lost', 'failed')).toBe('lost')
  expect(toggleWord('lost', 'failed')).toBe('lost,failed')
})
