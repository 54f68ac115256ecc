import { expect, test } from 'vitest'
import { endEarly, takeEarly, type Early } from './early'

const scope = globalThis as { stintEarly?: Early }

test('an early answer is taken once, and only while it is fresh', async () => {
  const answer = Promise.resolve(new Response('a'))
  scope.stintEarly = new Map([
    ['a', { at: Date.now(), answer }],
    ['old', { at: Date.now() - 60_000, answer }],
  ])
  expect(takeEarly('a')).toBe(answer)
  expect(takeEarly('a')).toBeNull()
  expect(takeEarly('old')).toBeNull()
  expect(scope.stintEarly.size).toBe(0)
})

test('early answers remain when the code of the page starts', () => {
  scope.stintEarly = new Map([['a', { at: Date.now(), answer: Promise.resolve(new Response()) }]])
  endEarly()
  expect(scope.stintEarly.size).toBe(1)
  delete scope.stintEarly
  endEarly()
  expect(takeEarly('a')).toBeNull()
})
