import type { Job, Run } from './api/types'
import { isActive } from './state'

const dayMs = 24 * 3600_000
const bad = ['failed', 'timed_out', 'lost']

/** The runs of each job that started within a day, the last first, no more than `most`. */
export function lastDay(runs: Run[], now: number, most: number): Map<string, Run[]> {
  const map = new Map<string, Run[]>()
  for (const run of runs) {
    if (now - Date.parse(run.start_at) > dayMs) continue
    const list = map.get(run.job)
    if (!list) map.set(run.job, [run])
    else if (list.length < most) list.push(run)
  }
  return map
}

const looked = 5
const leastBad = 3

/**
 * What is to be said of a job that fails more than it used to: at least three of its last
 * five ended runs went wrong, and that is a fifth more than over its whole history.
 */
export function failing(job: Pick<Job, 'runs' | 'active' | 'succeeded'>, runs: Run[]): string | null {
  const ended = runs.filter((r) => !isActive(r.state)).slice(0, looked)
  const wrong = ended.filter((r) => bad.includes(r.state)).length
  const all = job.runs - job.active
  if (wrong < leastBad || all === 0) return null
  const rate = job.succeeded / all
  if (1 - wrong / ended.length > rate - 0.2) return null
  return `${wrong} of its last ${ended.length} runs went wrong; over all time ${Math.round(rate * 100)} % succeed`
}

/** The share of ended runs that succeeded, as people write it; empty when none has ended. */
export function successRate(runs: Run[]): string {
  const ended = runs.filter((r) => !isActive(r.state) && r.state !== 'canceled')
  if (ended.length === 0) return ''
  return `${Math.round((100 * ended.filter((r) => r.state === 'succeeded').length) / ended.length)} %`
}

/** Jobs in the order of their last sign of life. */
export function byRecency(jobs: Job[]): Job[] {
  const at = (j: Job) => j.last_run?.start_at ?? ''
  return jobs.toSorted((a, b) => (at(a) < at(b) ? 1 : at(a) > at(b) ? -1 : a.name < b.name ? -1 : 1))
}

/** Whether a run would be in a list with these filters, as far as can be said here. */
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
