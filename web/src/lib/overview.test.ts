import { expect, test } from 'vitest'
import type { Job, Run } from './api/types'
import { byRecency, failing, lastDay, matches, successRate } from './overview'

const now = Date.parse('2026-05-04T12:00:00Z')
const run = (state: string, more: Partial<Run> = {}): Run =>
  ({ id: 'r', job: 'etl', state, health: '', start_at: new Date(now - 1000).toISOString(), command: 'python x', host: 'h1', labels: null, ...more }) as unknown as Run
const runs = (...states: string[]) => states.map((s) => run(s))

test('the last day of each job, bounded', () => {
  const old = run('failed', { start_at: new Date(now - 25 * 3600_000).toISOString() })
  const map = lastDay([...runs('running', 'failed', 'failed'), run('failed', { job: 'b' }), old], now, 2)
  expect([...map].map(([job, list]) => [job, list.length])).toEqual([['etl', 2], ['b', 1]])
})

test('failing more than usual', () => {
  const job = { runs: 100, active: 0, succeeded: 90 }
  expect(failing(job, runs('running', 'failed', 'lost', 'succeeded', 'timed_out', 'succeeded'))).toMatch(/^3 of its last 5 .* 90 % succeed$/)
  expect(failing(job, runs('failed', 'failed', 'succeeded'))).toBeNull()
  expect(failing({ runs: 100, active: 0, succeeded: 40 }, runs('failed', 'failed', 'failed', 'succeeded', 'succeeded'))).toBeNull()
  expect(failing({ runs: 1, active: 1, succeeded: 0 }, runs('running'))).toBeNull()
})

test('success rate leaves out what is going on and what somebody canceled', () => {
  expect(successRate(runs('running', 'canceled', 'succeeded', 'failed', 'succeeded'))).toBe('67 %')
  expect(successRate(runs('running'))).toBe('')
})

test('jobs in the order of their last sign of life', () => {
  const job = (name: string, at?: string) => ({ name, last_run: at ? { start_at: at } : null }) as unknown as Job
  expect(byRecency([job('a'), job('b', '2026-01-01'), job('c', '2026-02-01'), job('aa')]).map((j) => j.name)).toEqual(['c', 'b', 'a', 'aa'])
})

test('a new run belongs to a filtered list or not', () => {
  const r = run('running', { labels: { team: 'a=b' }, health: 'warning' })
  expect(matches(r, {})).toBe(true)
  expect(matches(r, { job: 'etl', state: 'queued,running', health: 'warning', host: 'h1', q: 'PYTHON', label: ['team=a=b'] })).toBe(true)
  for (const f of [{ job: 'x' }, { state: 'failed' }, { health: 'critical' }, { host: 'h' }, { q: 'nope' }, { label: ['team=b'] }]) {
    expect(matches(r, f)).toBe(false)
  }
})
