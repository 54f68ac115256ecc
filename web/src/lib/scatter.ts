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
  /** Borders of the usual band, 0 to 1; null when nothing is usual yet. */
  band: { middle: number; high: number } | null
}

const room = 1.08 // what the top leaves free
const farApart = 20 // so many times as much as usual would press all others onto the ground

export function took(run: Run): number {
  if (!run.ended_at || !run.started_at) return NaN
  return (Date.parse(run.ended_at) - Date.parse(run.started_at)) / 1000
}

/**
 * The ended runs of a job, oldest on the left, one place each, so that none hides another.
 * Where some took very much more than others, equal steps upwards are equal factors.
 */
export function scatter(runs: Run[], value: (r: Run) => number, usual: { middle: number; high: number } | null): Scatter {
  const ended = runs.filter((r) => !isActive(r.state) && Number.isFinite(value(r))).toReversed()
  const values = ended.map(value)
  const top = Math.max(usual?.high ?? 0, ...values) || 1
  const middle = values.toSorted((a, b) => a - b)[values.length >> 1] ?? top
  const least = Math.max(Math.min(...values, top), top / 1e6)
  const byFactor = middle > 0 && top / middle > farApart
  const [low, span] = byFactor ? [Math.log(least) - 0.5, Math.log(top) - Math.log(least) + 0.5] : [0, top]
  const y = (v: number) => (byFactor ? Math.max(0, (Math.log(Math.max(v, least)) - low) / span) : v / top) / room
  const at = (share: number) => (byFactor ? Math.exp(low + span * share) : top * share)
  return {
    points: ended.map((run, i) => ({
      run,
      state: run.state,
      value: value(run),
      x: ended.length > 1 ? i / (ended.length - 1) : 0.5,
      y: y(value(run)),
    })),
    ticks: [0, 0.5, 1].map((share) => ({ value: at(share), y: share / room })),
    band: usual ? { middle: y(usual.middle), high: y(usual.high) } : null,
  }
}
