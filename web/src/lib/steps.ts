import type { Run, Step } from './api/types'

export interface Phase {
  step: Step
  seconds: number
  /** Share of the bar, 0 to 1; never so small that it cannot be seen or hit. */
  share: number
}

const smallest = 0.04

/** The phases of an attempt in proportion to their time. */
export function phases(run: Run, now: number): Phase[] {
  const steps = run.steps ?? []
  const seconds = steps.map((s) => {
    const end = s.ended_at ?? run.ended_at
    return Math.max(0, ((end ? Date.parse(end) : now) - Date.parse(s.started_at)) / 1000)
  })
  const total = seconds.reduce((a, b) => a + b, 0)
  const raw = seconds.map((s) => Math.max(smallest, total > 0 ? s / total : 1))
  const sum = raw.reduce((a, b) => a + b, 0)
  return steps.map((step, i) => ({ step, seconds: seconds[i]!, share: raw[i]! / sum }))
}
