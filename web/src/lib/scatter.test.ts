import { expect, test } from 'vitest'
import type { Run } from './api/types'
import { durationOf, scatter } from './scatter'

const run = (seconds: number | null, state = 'succeeded') =>
  ({ state, started_at: new Date(0).toISOString(), ended_at: seconds === null ? null : new Date(seconds * 1000).toISOString() }) as unknown as Run

test('the oldest run is on the left, active ones are left out', () => {
  const s = scatter([run(null, 'running'), run(30), run(10, 'failed')], durationOf, { middle: 20, high: 50 })
  expect(s.points.map((p) => [p.x, p.value, p.state])).toEqual([[0, 10, 'failed'], [1, 30, 'succeeded']])
  expect(s.ticks.map((t) => t.value)).toEqual([0, 25, 50])
  expect(s.band?.middle).toBeCloseTo(20 / 54)
  expect(s.band?.high).toBeCloseTo(50 / 54)
})

test('one run is in the middle; no run is no error', () => {
  expect(scatter([run(5)], durationOf, null).points[0]).toMatchObject({ x: 0.5, y: 1 / 1.08 })
  expect(scatter([], durationOf, null)).toMatchObject({ points: [], band: null })
})

test('a run that was reported only when it had ended is left out', () => {
  expect(scatter([run(0), run(5)], durationOf, null).points).toHaveLength(1)
})

test('with one very long run the others are not flat', () => {
  const s = scatter([run(1000), run(10), run(20), run(30)], durationOf, null)
  const y = s.points.map((p) => p.y)
  expect(y[0]).toBeGreaterThan(y[1]!)
  expect(y[2]).toBeGreaterThan(0.05)
  expect(y[3]).toBeCloseTo(1 / 1.08)
  expect(s.ticks[2]!.value).toBeCloseTo(1000)
})
