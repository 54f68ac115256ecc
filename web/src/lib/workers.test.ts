import { expect, test } from 'vitest'
import type { WorkerInfo } from './api/types'
import { testRun } from './testrun'
import { condition, drainText, freeText, inOrder, startedBy, summary, takes } from './workers'

const now = Date.parse('2026-03-01T12:00:00Z')
const worker = (more: Partial<WorkerInfo> = {}): WorkerInfo => ({
  name: 'w7', host: 'gpu-7', version: 'v1', labels: {}, slots: 4, active: 1, claimed: 1, commands: false, live: true,
  first_at: '2026-02-01T12:00:00Z', last_at: '2026-03-01T11:59:48Z', ...more,
})
const drain = { by: 'ada', reason: 'new disk', at: '2026-03-01T11:00:00Z' }

test('the condition of a worker', () => {
  expect(condition(worker(), now)).toEqual({ word: 'ready', tone: 'good', more: 'asked for runs 12 s ago' })
  expect(condition(worker({ drain }), now).word).toBe('draining')
  expect(condition(worker({ drain, live: false }), now)).toEqual({ word: 'away', tone: 'lost', more: 'last asked for runs 12 s ago' })
})

test('a drain says by whom, why, and what still runs', () => {
  expect(drainText(worker({ drain }), now)).toMatch(/^since \S+( .*)? by ada: new disk · 2 runs may end$/)
  expect(drainText(worker({ drain: { ...drain, stop_by: '2026-03-01T12:10:00Z' } }), now)).toMatch(/2 runs may go on for 10 m, until /)
  expect(drainText(worker({ drain: { ...drain, stop_by: '2026-03-01T11:59:00Z' } }), now)).toMatch(/its jobs are asked to stop$/)
  expect(drainText(worker({ drain, active: 0, claimed: 0 }), now)).toMatch(/nothing runs there any more$/)
  expect(drainText(worker(), now)).toBe('')
})

test('what it has free and what it takes', () => {
  expect(freeText(worker({ free_cpus: 2.04, free_memory_bytes: 3 * 2 ** 30 }))).toBe('2.04 cores, 3 GiB free')
  expect(freeText(worker({ free_cpus: 0 }))).toBe('0 cores free')
  expect(freeText(worker())).toBe('')
  expect(takes(worker({ allow: ['a', 'b'], commands: true }))).toBe('only a, b, commands too')
})

test('those that are away come last', () => {
  const all = [worker({ name: 'w10' }), worker({ name: 'a', live: false }), worker({ name: 'w9' })]
  expect(inOrder(all).map((w) => w.name)).toEqual(['w9', 'w10', 'a'])
  expect(summary(all, now)).toBe('2 ready · 1 away')
})

test('the runs that a worker started are those whose last attempt it has', () => {
  const by = (id: string, name?: string) => testRun({ id, ...(name ? { submitted: { worker: name } as never } : {}) })
  expect(startedBy([by('a', 'w7'), by('b', 'w70'), by('c'), by('d', 'w7')], 'w7').map((r) => r.id)).toEqual(['a', 'd'])
  expect(startedBy(null, 'w7')).toEqual([])
})
