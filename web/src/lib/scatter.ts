import type { Run, State } from './api/types'
import { isActive } from './state'

/** A run as a point of its job's history; x and y in 0 to 1, y upwards. */
export interface Point {
  run: Run
  state: State
  value: number
  x: number
  y: number
}

export interface Scatter {
  points: Point[]
  top: number
  /** Borders of the usual band, 0 to 1; null when nothing is usual yet. */
  band: { middle: number; high: number } | null
}

export function took(run: Run): number {
  if (!run.ended_at || !run.started_at) return NaN
  return (Date.parse(run.ended_at) - Date.parse(run.started_at)) / 1000
}

/** The ended runs of a job, oldest on the left, one place each, so that none hides another. */
export function scatter(runs: Run[], value: (r: Run) => number, usual: { middle: number; high: number } | null): Scatter {
  const ended = runs.filter((r) => !isActive(r.state) && Number.isFinite(value(r))).toReversed()
  const top = Math.max(usual?.high ?? 0, ...ended.map(value)) * 1.08 || 1
  const points = ended.map((run, i) => ({
    run,
    state: run.state,
    value: value(run),
    x: ended.length > 1 ? i / (ended.length - 1) : 0.5,
    y: value(run) / top,
  }))
  return { points, top, band: usual ? { middle: usual.middle / top, high: usual.high / top } : null }
}
