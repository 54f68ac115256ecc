import type { Run, RunEvent, SentenceTime, Step } from './api/types'
import { quotesOf, quotesOfEvent } from './quotes'
import { isActive } from './state'

export interface Phase {
  step: Step
  /** NaN if nobody knows when the step ended, as of a lost run. */
  seconds: number
  /** Share of the bar, 0 to 1; never too small to be seen or clicked. */
  share: number
}

const smallest = 0.04

/** The phases of an attempt in proportion to their time. */
export function phases(run: Run, now: number): Phase[] {
  const steps = run.steps ?? []
  const seconds = steps.map((s) => {
    const end = s.ended_at ?? run.ended_at
    if (!end && !isActive(run.state)) return NaN
    return Math.max(0, ((end ? Date.parse(end) : now) - Date.parse(s.started_at)) / 1000)
  })
  const longest = Math.max(0, ...seconds.filter((s) => !Number.isNaN(s)))
  const drawn = seconds.map((s) => (Number.isNaN(s) ? longest : s)) // one of unknown length as the longest other
  const total = drawn.reduce((a, b) => a + b, 0)
  const raw = drawn.map((s) => Math.max(smallest, total > 0 ? s / total : 1))
  const sum = raw.reduce((a, b) => a + b, 0)
  return steps.map((step, i) => ({ step, seconds: seconds[i]!, share: raw[i]! / sum }))
}

export interface Attempt {
  number: number
  state: string
  from: string
  to: string
  evidence: string
  /** What the evidence quotes. */
  quoted: string[]
  /** The moments that the evidence names. */
  times: SentenceTime[] | null | undefined
}

/** The state of an attempt before the last one: it was retried because it had failed. */
function finalState(last: string | undefined): string {
  return last === 'retrying' ? 'failed' : (last ?? 'lost')
}

/** The attempts of a run with their states, newest first, from the run's events. */
export function attempts(run: Run, events: RunEvent[]): Attempt[] {
  const out: Attempt[] = []
  for (let n = run.attempt; n >= 1; n--) {
    const own = events.filter((e) => e.attempt === n && e.kind === 'state').sort((a, b) => a.id - b.id)
    const [first, last] = [own[0], own[own.length - 1]]
    const now = n === run.attempt
    out.push({
      number: n,
      state: now ? run.state : finalState(last?.to),
      from: first?.at ?? run.created_at,
      to: last?.at ?? run.ended_at ?? run.created_at,
      evidence: now && run.outcome ? run.outcome.message : (last?.evidence ?? ''),
      quoted: (now && run.outcome) || !last ? quotesOf(run) : quotesOfEvent(run, last),
      times: now && run.outcome ? run.sentence_times : last?.sentence_times,
    })
  }
  return out
}
