import { describe, expect, test } from 'vitest'
import type { OverviewQuery } from './api/client'
import type { Job, Overview, OverviewRun, Run } from './api/types'
import { applyRun, toRunRow, byRecency, failing, inShownOrder, matches, readOverview, successRate, type View } from './overview'
import { usualFigures } from './state'

const now = Date.parse('2026-05-04T12:00:00Z')
const run = (state: string, more: Partial<Run> = {}): Run =>
  ({ id: 'r', job: 'etl', state, health: '', start_at: new Date(now - 1000).toISOString(), command: 'python x', host: 'h1', labels: null, ...more }) as unknown as Run
const runs = (...states: string[]) => states.map((s) => run(s))

const overview = (more: Record<string, unknown> = {}): Overview =>
  ({
    at: '2026-05-04T12:00:00Z',
    attention: { count: 3, acknowledged: 1, older: 2, runs: [], next_cursor: null },
    active: { count: 0, healthy: 0, warning: 0, critical: 0, runs: [] },
    waiting: { count: 0, runs: [] },
    jobs: { count: 3, jobs: [], next_cursor: null },
    findings: [],
    fleet: { hosts: [], hosts_total: 0 },
    server: { degraded: ['The disk is slow.'], troubled: 2 },
    ...more,
  }) as unknown as Overview
const listed = (id: string, more: Partial<OverviewRun> = {}) => ({ id, job: 'etl', state: 'failed', health: '', outcome: null, ...more }) as OverviewRun

test('the overview is read by one request', async () => {
  const requests: OverviewQuery[] = []
  const view = await readOverview(async (q) => (requests.push(q), overview()), { attention: 1, jobs: 1, older: 0 })
  expect(requests).toEqual([{}])
  expect(view).toMatchObject({ degraded: ['The disk is slow.'], troubled: 2, older: null, attention: { count: 3, acknowledged: 1, older: 2, more: false } })
})

test('further pages are read one by one, and a run that moved to the next page is listed once', async () => {
  const requests: OverviewQuery[] = []
  const answer = (q: OverviewQuery) => {
    requests.push(q)
    const page = { count: 3, acknowledged: 1, older: 2 }
    if (q.older) return overview({ attention: { ...page, runs: [listed(q.attention_cursor ? 'o2' : 'o1')], next_cursor: q.attention_cursor ? 'o-end' : 'o-2' } })
    if (q.attention_cursor === 'a-2') return overview({ attention: { ...page, runs: [listed('a'), listed('b')], next_cursor: 'a-3' } })
    if (q.jobs_cursor === 'j-2') return overview({ jobs: { count: 3, jobs: [{ name: 'z' }], next_cursor: null } })
    return overview({ attention: { ...page, runs: [listed('a')], next_cursor: 'a-2' }, jobs: { count: 3, jobs: [{ name: 'y' }], next_cursor: 'j-2' } })
  }
  const view = await readOverview(async (q) => answer(q), { attention: 2, jobs: 5, older: 2 })
  expect(requests).toEqual([{}, { attention_cursor: 'a-2' }, { jobs_cursor: 'j-2' }, { older: true }, { older: true, attention_cursor: 'o-2' }])
  expect(view.attention.runs.map((r) => r.id)).toEqual(['a', 'b'])
  expect(view.attention.more).toBe(true)
  expect(view.jobs).toMatchObject({ jobs: [{ name: 'y' }, { name: 'z' }], more: false })
  expect(view.older).toMatchObject({ runs: [{ id: 'o1' }, { id: 'o2' }], more: true })
})

test('a run of the overview becomes a row of a list', () => {
  const row = toRunRow(listed('a', { usual: { runs: 4, duration_p50_seconds: 2, duration_p95_seconds: 3, peak_memory_p50_bytes: 5, peak_memory_p95_bytes: 6 } }))
  expect(row).toMatchObject({ status: '', cancel: null, findings: null })
  expect(usualFigures(row)).toEqual({ runs: 4, p50: 2, p95: 3, peak: 5 })
  expect(usualFigures(toRunRow(listed('b')))).toBeNull()
})

describe('a change of a run', () => {
  const known = run('running', { id: 'known', health: 'healthy' })
  const view = async () => {
    const got = await readOverview(async () => overview(), { attention: 1, jobs: 1, older: 0 })
    return { ...got, active: { ...got.active, runs: [known] }, attention: { ...got.attention, runs: [toRunRow(listed('bad', { recent: { ended: 5, wrong: 4, job_ended: 9, job_succeeded: 2 } }))] } }
  }
  test('is shown at once; an unimportant one reloads nothing', async () => {
    const got = applyRun(await view(), { ...known, status: 'half' } as Run)
    expect(got.reloads).toBe(false)
    expect(got.view.active.runs[0]?.status).toBe('half')
  })
  test('reloads when a run begins, ends, is unwell or is acknowledged', async () => {
    const acknowledged = { by: 'ada', at: '', attempt: 1, state: 'running' }
    for (const change of [{ id: 'new' }, { state: 'succeeded' }, { health: 'critical' }, { acknowledged }]) {
      expect(applyRun(await view(), { ...known, ...change } as Run).reloads, JSON.stringify(change)).toBe(true)
    }
  })
  test('moves no row and adds none', async () => {
    const before = await view()
    const after = Array.from({ length: 2000 }, (_, i) => run('succeeded', { id: 'quick' + i })).reduce((v, r) => applyRun(v, r).view, before as View)
    expect(after).toBe(before)
    expect(applyRun(before, run('failed', { id: 'bad', status: 'x' })).view.attention.runs).toMatchObject([{ id: 'bad', status: 'x', recent: { wrong: 4 } }])
  })
})

test('rows that are shown keep their places', () => {
  const rows = (...ids: string[]) => ids.map((id) => toRunRow(listed(id)))
  const now = [toRunRow(listed('new')), toRunRow(listed('b', { status: 'new' })), toRunRow(listed('a'))]
  expect(inShownOrder(rows('a', 'b', 'gone'), now).map((r) => r.id + r.status)).toEqual(['a', 'bnew', 'gone'])
})

test('failing more than usual', () => {
  expect(failing({ ended: 5, wrong: 3, job_ended: 100, job_succeeded: 94 })).toBe('3 of its last 5 runs went wrong; 94 % of all its runs succeeded')
  expect(failing({ ended: 3, wrong: 2, job_ended: 100, job_succeeded: 90 })).toBeNull()
  expect(failing({ ended: 5, wrong: 3, job_ended: 100, job_succeeded: 40 })).toBeNull()
  expect(failing({ ended: 0, wrong: 0, job_ended: 0, job_succeeded: 0 })).toBeNull()
  expect(failing(undefined)).toBeNull()
})

test('success rate leaves out active and canceled runs', () => {
  expect(successRate(runs('running', 'canceled', 'succeeded', 'failed', 'succeeded'))).toBe('67 %')
  expect(successRate(runs('running'))).toBe('')
})

test('jobs in the order of their last start', () => {
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
