import type { Acknowledgement, Finding, Job, Run, RunRow, State, Usual } from './api/types'
import * as f from './format'

export type Tone = 'accent' | 'good' | 'bad' | 'warn' | 'lost' | 'quiet'

interface StateStyle {
  word: string
  tone: Tone
  /** The first character of the tab's title. */
  mark: string
}

/** A state has a colour, a shape and a word; ui/StateIcon draws the shapes. */
export const stateStyles: Record<State, StateStyle> = {
  queued: { word: 'queued', tone: 'quiet', mark: '○' },
  starting: { word: 'starting', tone: 'accent', mark: '●' },
  installing: { word: 'installing', tone: 'accent', mark: '●' },
  running: { word: 'running', tone: 'accent', mark: '●' },
  stopping: { word: 'stopping', tone: 'warn', mark: '●' },
  retrying: { word: 'retrying', tone: 'accent', mark: '○' },
  succeeded: { word: 'succeeded', tone: 'good', mark: '✓' },
  failed: { word: 'failed', tone: 'bad', mark: '✕' },
  canceled: { word: 'canceled', tone: 'quiet', mark: '⊘' },
  timed_out: { word: 'timed out', tone: 'warn', mark: '⏱' },
  lost: { word: 'lost', tone: 'lost', mark: '⌁' },
}

export const activeStates: State[] = ['queued', 'starting', 'installing', 'running', 'stopping', 'retrying']
export const endedStates: State[] = ['succeeded', 'failed', 'timed_out', 'lost', 'canceled']

export function isActive(state: State): boolean {
  return activeStates.includes(state)
}

/** The run waits for an attempt to begin: no agent works on it. */
export function isWaiting(state: State): boolean {
  return state === 'queued' || state === 'retrying'
}

/** The style of a state, also of one that only a newer server has. */
export function styleOf(state: State): StateStyle {
  return stateStyles[state] ?? { word: state, tone: 'quiet', mark: '?' }
}

/** The run ended in a way that needs attention. */
export function endedBadly(state: State): boolean {
  return state === 'failed' || state === 'timed_out' || state === 'lost'
}

export function title(run: Pick<Run, 'job' | 'number' | 'state'>): string {
  const style = styleOf(run.state)
  return `${style.mark} ${run.job} #${run.number} ${style.word} · Stint`
}

/** A name of the API, such as "timed_out", as words. */
export function asWords(name: string): string {
  return name.replaceAll('_', ' ')
}

/** The usual durations and memory of a job, from its policy or from its last successful runs. */
export interface UsualFigures {
  runs: number
  p50: number
  p95: number
  peak?: number
}

export function usualFigures(from: { expected?: RunRow['expected']; usual?: Usual | null } | Job | null | undefined): UsualFigures | null {
  const d = from?.expected?.duration_seconds
  if (from?.expected && d) return { runs: from.expected.runs, p50: d.p50, p95: d.p95, peak: from.expected.peak_memory_bytes?.p50 }
  const u = from && 'usual' in from ? from.usual : null
  return u ? { runs: u.runs, p50: u.duration_p50_seconds, p95: u.duration_p95_seconds, peak: u.peak_memory_p50_bytes } : null
}

const exceedFactor = 1.1 // of the p95: less than that is not worth a warning

/** Whether a time in seconds is clearly longer than the job's successful runs, of which there are at least three. */
export function exceedsUsual(usual: UsualFigures | null | undefined, seconds: number): boolean {
  return usual != null && usual.runs >= 3 && seconds > usual.p95 * exceedFactor
}

/** Seconds that the run has taken so far, or took; NaN if nobody knows when it began or ended. */
export function elapsed(run: RunRow, now: number): number {
  if (run.state === 'retrying') return f.between(run.created_at, null, now) // since its first attempt
  if (!isActive(run.state) && (!run.ended_at || run.started_at === run.ended_at)) return NaN // reported only at its end
  return f.between(run.started_at ?? run.created_at, run.ended_at, now)
}

/** The peak memory of a run in bytes: as the kernel measured it if the run was out of memory. */
export function peakMemory(run: Pick<RunRow, 'outcome' | 'usage'>): number {
  return run.outcome?.oom?.peak_bytes || run.usage.peak_memory_bytes
}

/** "delivered 2 h later" for a run that was delivered late; else empty. */
export function lateText(run: RunRow): string {
  return run.delivered_late_seconds ? `delivered ${f.duration(run.delivered_late_seconds)} later` : ''
}

/** The most severe finding. */
export function worstFinding(run: RunRow): Finding | undefined {
  const findings = run.findings ?? []
  return findings.find((x) => x.health === 'critical') ?? findings[0]
}

/** Who acknowledged a run, when and why. */
export function acknowledgedBy(a: Acknowledgement, now: number): string {
  return `acknowledged by ${a.by || 'somebody'} ${f.ago(a.at, now)}${a.why ? ': ' + a.why : ''}`
}
