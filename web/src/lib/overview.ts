import type { OverviewQuery } from './api/client'
import type { Fleet, Job, JobDay, JobFinding, Overview, OverviewRun, Run, RunRow, State } from './api/types'
import { isActive, isWaiting } from './state'

/** What the overview shows: one answer of the server, and the further pages that were requested. */
export interface View {
  at: string
  attention: { count: number; acknowledged: number; older: number; runs: RunRow[]; more: boolean }
  /** Runs that went wrong more than 30 days ago; null while they are hidden. */
  older: { runs: RunRow[]; more: boolean } | null
  active: { count: number; healthy: number; warning: number; critical: number; runs: RunRow[] }
  /** Queued and retrying runs. */
  waiting: { count: number; runs: RunRow[] }
  jobs: { count: number; jobs: JobDay[]; more: boolean }
  /** Findings about jobs: those that have not started. */
  findings: JobFinding[]
  fleet: Fleet
  degraded: string[]
  troubled: number
}

/** How many pages of each part are shown. With zero pages the older runs are hidden. */
export interface Pages {
  attention: number
  jobs: number
  older: number
}

interface Part {
  next_cursor: string | null
}

/** Reads pages of a part after the first one. */
async function readPages<P extends Part>(first: P, pages: number, next: (cursor: string) => Promise<P>): Promise<P[]> {
  const got = [first]
  for (let last = first; got.length < pages && last.next_cursor; ) {
    last = await next(last.next_cursor)
    got.push(last)
  }
  return got
}

/** Reads the overview: one request, and one more for each further page. */
export async function readOverview(request: (q: OverviewQuery) => Promise<Overview>, pages: Pages): Promise<View> {
  const first = await request({})
  const attentionAfter = (more: OverviewQuery) => async (cursor: string) => (await request({ ...more, attention_cursor: cursor })).attention
  const attention = await readPages(first.attention, pages.attention, attentionAfter({}))
  const jobs = await readPages(first.jobs, pages.jobs, async (cursor) => (await request({ jobs_cursor: cursor })).jobs)
  const older = pages.older > 0 ? await readPages((await request({ older: true })).attention, pages.older, attentionAfter({ older: true })) : null
  return {
    at: first.at,
    attention: { ...first.attention, runs: rowsOf(attention), more: hasMore(attention) },
    older: older && { runs: rowsOf(older), more: hasMore(older) },
    active: { ...first.active, runs: first.active.runs.map(toRunRow) },
    waiting: { ...first.waiting, runs: first.waiting.runs.map(toRunRow) },
    jobs: { count: first.jobs.count, jobs: jobs.flatMap((p) => p.jobs as JobDay[]), more: hasMore(jobs) },
    findings: first.findings,
    fleet: first.fleet,
    degraded: first.server.degraded,
    troubled: first.server.troubled,
  }
}

function rowsOf(pages: { runs: OverviewRun[] }[]): RunRow[] {
  const seen = new Set<string>() // a run can move to the next page between two requests
  return pages.flatMap((p) => p.runs.map(toRunRow)).filter((r) => !seen.has(r.id) && seen.add(r.id))
}

function hasMore(pages: Part[]): boolean {
  return Boolean(pages.at(-1)?.next_cursor)
}

/** A run of the overview in the form of all lists. */
export function toRunRow(r: OverviewRun): RunRow {
  return { ...r, findings: r.findings ?? null, cancel: r.cancel ?? null, status: r.status ?? '' } as RunRow
}

/**
 * Replaces a changed run in the view. reloads reports that more than its row may have changed, so
 * that the overview must be read again.
 */
export function applyRun(view: View, run: Run): { view: View; reloads: boolean } {
  const before = [...view.active.runs, ...view.waiting.runs].find((r) => r.id === run.id)
  const swap = (runs: RunRow[]) => runs.map((r) => (r.id === run.id ? { ...run, recent: r.recent } : r))
  const shown = [...view.attention.runs, ...view.active.runs, ...view.waiting.runs, ...(view.older?.runs ?? [])].some((r) => r.id === run.id)
  const next: View = !shown ? view : {
    ...view,
    attention: { ...view.attention, runs: swap(view.attention.runs) },
    older: view.older && { ...view.older, runs: swap(view.older.runs) },
    active: { ...view.active, runs: swap(view.active.runs) },
    waiting: { ...view.waiting, runs: swap(view.waiting.runs) },
  }
  const reloads = !before || !isActive(run.state) || isWaiting(run.state) !== isWaiting(before.state) || run.health !== before.health || Boolean(run.acknowledged) !== Boolean(before.acknowledged)
  return { view: next, reloads }
}

/** The rows in the order in which they are shown, with their current values; new rows are left out. */
export function inShownOrder<T extends { id: string }>(shown: T[], now: T[]): T[] {
  const byId = new Map(now.map((r) => [r.id, r]))
  return shown.map((r) => byId.get(r.id) ?? r)
}

const minWrong = 3

/**
 * A note for a job that fails more often than before: at least three of its last five ended runs
 * went wrong, and its success rate is 20 points below that of all its runs. null for other jobs.
 */
export function failing(recent: RunRow['recent']): string | null {
  if (!recent || recent.wrong < minWrong || recent.job_ended === 0) return null
  const rate = recent.job_succeeded / recent.job_ended
  if (1 - recent.wrong / recent.ended > rate - 0.2) return null
  return `${recent.wrong} of its last ${recent.ended} runs went wrong; ${Math.round(rate * 100)} % of all its runs succeeded`
}

/** The share of ended runs that succeeded, in percent; empty when none has ended. */
export function successRate(runs: { state: State }[]): string {
  const ended = runs.filter((r) => !isActive(r.state) && r.state !== 'canceled')
  if (ended.length === 0) return ''
  return `${Math.round((100 * ended.filter((r) => r.state === 'succeeded').length) / ended.length)} %`
}

/** Jobs in the order of their last start, newest first. */
export function byRecency(jobs: Job[]): Job[] {
  const at = (j: Job) => j.last_run?.start_at ?? ''
  return jobs.toSorted((a, b) => (at(a) < at(b) ? 1 : at(a) > at(b) ? -1 : a.name < b.name ? -1 : 1))
}

/** Whether a run is probably in a list with these filters; the server decides. */
export function matches(run: Run, f: { job?: string; state?: string; health?: string; host?: string; q?: string; label?: string[] }): boolean {
  if (f.job && run.job !== f.job) return false
  if (f.host && run.host !== f.host) return false
  if (f.state && !f.state.split(',').includes(run.state)) return false
  if (f.health && !f.health.split(',').includes(run.health)) return false
  for (const label of f.label ?? []) {
    const [key = '', ...rest] = label.split('=')
    if (run.labels?.[key] !== rest.join('=')) return false
  }
  if (!f.q) return true
  const text = [run.job, run.command, run.host, run.id, ...Object.values(run.labels ?? {})].join('\n').toLowerCase()
  return text.includes(f.q.toLowerCase())
}
