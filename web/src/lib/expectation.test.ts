import { expect, it } from 'vitest'
import { expectationOf, fieldsOf, isFilled, labelsText, lengthOf, readLabels } from './expectation'

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

it('writes labels one a line, and reads what it wrote', () => {
  const labels = { team: 'data base', env: '', url: 'a=b' }
  expect(labelsText(labels)).toBe('team=data base\nenv=\nurl=a=b')
  expect(readLabels(labelsText(labels))).toEqual({ labels, mistake: '' })
  expect(fieldsOf({ cron: '0 3 * * *', labels }, 'UTC').labels).toBe(labelsText(labels))
  expect(readLabels(' \n  a=1 \r\n\n')).toEqual({ labels: { a: '1' }, mistake: '' })
  expect(readLabels('')).toEqual({ labels: {}, mistake: '' })
})

it('says which label is wrong', () => {
  expect(readLabels('a=1\nteam').mistake).toBe('Line 2: a label is written KEY=VALUE.')
  expect(readLabels('=x').mistake).toBe('Line 1: a label is written KEY=VALUE.')
  expect(readLabels('a=1\n\na=2').mistake).toBe('Line 3: the label a is there twice.')
})
