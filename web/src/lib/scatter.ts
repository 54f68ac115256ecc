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
  ticks: { value: number; y: number }[]
  /** The usual range, 0 to 1; null when there is none yet. */
  band: { middle: number; high: number } | null
}

const headroom = 1.08 // the height of the scale, as a multiple of the largest value
const logScaleFrom = 20 // largest value as a multiple of the median: with equal steps all others would be flat

/** How long an ended run took, in seconds; NaN if that is not known. */
export function durationOf(run: Run): number {
  if (!run.ended_at || !run.started_at || run.ended_at === run.started_at) return NaN // the last: reported only at its end
  return (Date.parse(run.ended_at) - Date.parse(run.started_at)) / 1000
}

/**
 * The ended runs of a job, oldest on the left, at equal distances, so that none hides another. If
 * some took very much more than others, the scale is logarithmic.
 */
export function scatter(runs: Run[], value: (r: Run) => number, usual: { middle: number; high: number } | null): Scatter {
  const ended = runs.filter((r) => !isActive(r.state) && Number.isFinite(value(r))).toReversed()
  const values = ended.map(value)
  const top = Math.max(usual?.high ?? 0, ...values) || 1
  const middle = values.toSorted((a, b) => a - b)[values.length >> 1] ?? top
  const least = Math.max(Math.min(...values, top), top / 1e6)
  const byFactor = middle > 0 && top / middle > logScaleFrom
  const [low, span] = byFactor ? [Math.log(least) - 0.5, Math.log(top) - Math.log(least) + 0.5] : [0, top]
  const y = (v: number) => (byFactor ? Math.max(0, (Math.log(Math.max(v, least)) - low) / span) : v / top) / headroom
  const at = (share: number) => (byFactor ? Math.exp(low + span * share) : top * share)
  return {
    points: ended.map((run, i) => ({
      run,
      state: run.state,
      value: value(run),
      x: ended.length > 1 ? i / (ended.length - 1) : 0.5,
      y: y(value(run)),
    })),
    ticks: [0, 0.5, 1].map((share) => ({ value: at(share), y: share / headroom })),
    band: usual ? { middle: y(usual.middle), high: y(usual.high) } : null,
  }
}
