import { expect, test } from 'vitest'
import type { Run } from './api/types'
import { scatter, took } from './scatter'

const run = (seconds: number | null, state = 'succeeded') =>
  ({ state, started_at: new Date(0).toISOString(), ended_at: seconds === null ? null : new Date(seconds * 1000).toISOString() }) as unknown as Run

test('the oldest run is on the left, active ones are left out', () => {
  const s = scatter([run(null, 'running'), run(30), run(10, 'failed')], took, { middle: 20, high: 50 })
  expect(s.points.map((p) => [p.x, p.value, p.state])).toEqual([[0, 10, 'failed'], [1, 30, 'succeeded']])
  expect(s.ticks.map((t) => t.value)).toEqual([0, 25, 50])
  expect(s.band?.middle).toBeCloseTo(20 / 54)
  expect(s.band?.high).toBeCloseTo(50 / 54)
})

test('one run stands in the middle; none is no trouble', () => {
  expect(scatter([run(5)], took, null).points[0]).toMatchObject({ x: 0.5, y: 1 / 1.08 })
  expect(scatter([], took, null)).toMatchObject({ points: [], band: null })
})

test('one run that took very long does not press the others onto the ground', () => {
  const s = scatter([run(1000), run(10), run(20), run(30)], took, null)
  const y = s.points.map((p) => p.y)
  expect(y[0]).toBeGreaterThan(y[1]!)
  expect(y[2]).toBeGreaterThan(0.05)
  expect(y[3]).toBeCloseTo(1 / 1.08)
  expect(s.ticks[2]!.value).toBeCloseTo(1000)
})
