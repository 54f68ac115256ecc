import { expect, it } from 'vitest'
import { expectationOf, fieldsOf, isFilled, lengthOf } from './expectation'

it('shows lengths in the largest unit that fits', () => {
  expect(lengthOf(900)).toEqual({ number: 15, unit: 'minutes' })
  expect(lengthOf(7200)).toEqual({ number: 2, unit: 'hours' })
  expect(lengthOf(86_400)).toEqual({ number: 1, unit: 'days' })
  expect(lengthOf(90)).toEqual({ number: 1.5, unit: 'minutes' })
})

it('keeps an expectation that is not changed', () => {
  for (const e of [{ cron: '0 3 * * *', zone: 'Asia/Tokyo', grace_seconds: 3600 }, { every_seconds: 5400, grace_seconds: 90 }]) expect(expectationOf(fieldsOf(e, 'UTC'))).toEqual(e)
})

it('leaves mistakes to the server', () => {
  const f = fieldsOf(null, 'Europe/Berlin')
  expect(isFilled(f)).toBe(false)
  f.cron = ' 0 3 * * '
  expect(isFilled(f)).toBe(true)
  expect(expectationOf(f)).toEqual({ cron: '0 3 * *', zone: 'Europe/Berlin', grace_seconds: 3600 })
  f.grace.number = 0
  expect(expectationOf(f).grace_seconds).toBe(-1)
  f.grace.number = null
  expect(isFilled(f)).toBe(false)
})
