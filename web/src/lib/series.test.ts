import { expect, test } from 'vitest'
import type { Sample } from './api/types'
import { append, indexAt, sparkPath } from './series'
import { phases } from './steps'
import type { Run } from './api/types'

const sample = (s: number, cores = 1, memory = 1): Sample => ({
  at: new Date(s * 1000).toISOString(), cpu_seconds: 0, cpu_cores: cores, memory_bytes: memory, processes: 1,
})

test('late or repeated samples change nothing', () => {
  const list = [sample(1), sample(2)]
  expect(append(list, sample(2))).toBe(list)
  expect(append(list, sample(1))).toBe(list)
  expect(append(list, sample(3)).map((s) => Date.parse(s.at) / 1000)).toEqual([1, 2, 3])
})

test('thinning keeps the peaks', () => {
  let list: Sample[] = []
  for (let i = 0; i < 500; i++) list = append(list, sample(i, i === 100 ? 64 : 1, i === 201 ? 9e9 : 1), 100)
  expect(list.length).toBeLessThanOrEqual(100)
  expect(Math.max(...list.map((s) => s.cpu_cores))).toBe(64)
  expect(Math.max(...list.map((s) => s.memory_bytes))).toBe(9e9)
})

test('sparkline', () => {
  expect(sparkPath([], 10, 10)).toBe('')
  expect(sparkPath([0, 1], 10, 10)).toBe('M0.0 10.0L10.0 0.0')
  expect(sparkPath([1, 1], 10, 10, 2)).toBe('M0.0 5.0L10.0 5.0')
  expect(sparkPath([0, 0], 10, 10)).toBe('M0.0 10.0L10.0 10.0')
})

test('phases share the bar and none vanishes', () => {
  const step = (from: number, to: number | null) => ({
    index: 0, name: 's', kind: 'command' as const, command: '', state: 'running' as const, exit_code: null,
    started_at: new Date(from * 1000).toISOString(), ended_at: to === null ? null : new Date(to * 1000).toISOString(),
  })
  const run = { steps: [step(0, 1), step(1, null)], ended_at: null, state: 'running' } as unknown as Run
  const p = phases(run, 1_001_000)
  expect(p.map((x) => x.seconds)).toEqual([1, 1000])
  expect(p[0]!.share).toBeGreaterThan(0.03)
  expect(p[0]!.share + p[1]!.share).toBeCloseTo(1)
  expect(phases({ steps: null } as unknown as Run, 0)).toEqual([])
  const lost = phases({ ...run, state: 'lost' }, 1_001_000) // nobody knows when its last step ended
  expect(lost.map((x) => x.seconds)).toEqual([1, NaN])
  expect(lost.map((x) => x.share)).toEqual([0.5, 0.5])
})

test('the last value at or before a moment', () => {
  expect([0, 1, 1.5, 3, 9].map((t) => indexAt([1, 2, 3], t))).toEqual([-1, 0, 0, 2, 2])
  expect(indexAt([], 1)).toBe(-1)
})
