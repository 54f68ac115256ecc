// What the page says about a run that waits in the queue. The sentences are the server's.
import type { Gate, QueuedRun } from './api/types'
import { between, duration, moment, ticking } from './format'
import { inLocalTime } from './moments'

/** What a run waits for, as lines for a person. */
export function waitsFor(q: Pick<QueuedRun, 'gates' | 'worker' | 'ahead'>, now: number): string[] {
  if (q.worker) return [givenTo(q.worker)]
  const lines = q.gates.map((g) => inLocalTime(g.text, g.sentence_times, now) + opens(g, now))
  if (lines.length === 0 && q.ahead === 0) return ['Nothing keeps it from starting: the next worker with a free slot takes it.']
  return lines
}

export function givenTo(worker: string): string {
  return `Given to ${worker}, starting.`
}

function opens(g: Gate, now: number): string {
  const left = (Date.parse(g.opens_at ?? '') - now) / 1000
  return left > 0 ? ` Opens in ${ticking(left)}.` : ''
}

/** Gates that stay closed until somebody does something. */
const needPeople: Gate['gate'][] = ['held', 'no_worker', 'paused']

/** The first gate of a run that stays closed until somebody does something. */
export function needsPeople(q: Pick<QueuedRun, 'gates'>): Gate['gate'] | undefined {
  return q.gates.find((g) => needPeople.includes(g.gate))?.gate
}

/** Whether runs come before one, and no line says so yet. */
export function comesLater(q: Pick<QueuedRun, 'gates' | 'ahead'>): boolean {
  return q.ahead > 0 && !needsPeople(q) && q.gates.every((g) => g.gate !== 'turn')
}

/** About when a run starts, in a few words. */
export function startsAbout(q: Pick<QueuedRun, 'gates' | 'worker' | 'starts_about'>, now: number): string {
  if (q.worker) return 'now'
  if (q.gates.some((g) => g.gate === 'no_worker')) return 'never'
  if (!q.starts_about) return '–'
  return Date.parse(q.starts_about) > now ? moment(q.starts_about, now) : 'now'
}

/** How long a run has waited. */
export function waited(q: Pick<QueuedRun, 'since'>, now: number): string {
  return ticking(between(q.since, null, now))
}

/** The longest and the median wait of runs, as words; empty for none. */
export function waits(runs: Pick<QueuedRun, 'since'>[], now: number): string {
  const seconds = runs.map((q) => between(q.since, null, now)).sort((a, b) => a - b)
  if (seconds.length === 0) return ''
  return `median wait ${duration(Math.round(seconds[Math.floor(seconds.length / 2)]!))}, longest ${duration(Math.round(seconds[seconds.length - 1]!))}`
}
