import type { Acknowledgement, Finding, Job, Run, RunRow, State, Usual } from './api/types'
import * as f from './format'

export type Tone = 'accent' | 'good' | 'bad' | 'warn' | 'lost' | 'quiet'

interface Look {
  word: string
  tone: Tone
  /** What the tab's title begins with. */
  mark: string
}

/** A state is always colour and shape and word; the shape stands in ui/StateIcon. */
export const looks: Record<State, Look> = {
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

export function look(state: State): Look {
  return looks[state] ?? { word: state, tone: 'quiet', mark: '?' }
}

export function title(run: Pick<Run, 'job' | 'number' | 'state'>): string {
  return `${look(run.state).mark} ${run.job} #${run.number} ${look(run.state).word} · Stint`
}

/** What is usual for a job: as its policy learned it, or over its last good runs. */
export interface Usually {
  runs: number
  p50: number
  p95: number
  peak?: number
}

export function usually(from: { expected?: RunRow['expected']; usual?: Usual | null } | Job | null | undefined): Usually | null {
  const d = from?.expected?.duration_seconds
  if (from?.expected && d) return { runs: from.expected.runs, p50: d.p50, p95: d.p95, peak: from.expected.peak_memory_bytes?.p50 }
  const u = from && 'usual' in from ? from.usual : null
  return u ? { runs: u.runs, p50: u.duration_p50_seconds, p95: u.duration_p95_seconds, peak: u.peak_memory_p50_bytes } : null
}

const clearly = 1.1 // so many times the p95: what is a hair over it worries nobody

/** A time took clearly longer than the job's good runs do, of which there are enough to tell. */
export function clearlyOver(usual: Usually | null | undefined, seconds: number): boolean {
  return usual != null && usual.runs >= 3 && seconds > usual.p95 * clearly
}

/** What a finding says: its message, or its evidence where that is all there is. */
export function findingText(x: Finding): string {
  const message = (x as { message?: unknown }).message
  if (typeof message === 'string' && message) return message
  return typeof x.evidence === 'string' ? x.evidence : x.rule.replaceAll('_', ' ')
}

/** Seconds that the run has taken so far, or took. */
export function elapsed(run: RunRow, now: number): number {
  if (run.state === 'retrying') return f.between(run.created_at, null, now) // since its first attempt
  return f.between(run.started_at ?? run.created_at, run.ended_at, now)
}

/** A run ended in a way that a person should look at. */
export function wentWrong(state: State): boolean {
  return state === 'failed' || state === 'timed_out' || state === 'lost'
}

/** The most memory that a run used, in bytes: where it ran out of memory, as the kernel measured it. */
export function peakMemory(run: Pick<RunRow, 'outcome' | 'usage'>): number {
  return run.outcome?.oom?.peak_bytes || run.usage.peak_memory_bytes
}

/** That a run was delivered late, in words; empty for one that was not. */
export function late(run: RunRow): string {
  return run.delivered_late_seconds ? `delivered ${f.duration(run.delivered_late_seconds)} later` : ''
}

/**
 * The one sentence that says why a run is not well, or null when it is. What the server
 * judged comes first, then what it knows of the end.
 */
export function verdict(run: RunRow, now: number): string | null {
  if (isActive(run.state)) {
    const finding = worst(run)
    if (finding) return findingSentence(finding, now)
    if (run.state === 'retrying' && !run.cancel) return retrySentence(run, now)
    if (run.cancel) {
      const why = run.cancel.why ? `: ${run.cancel.why}` : ''
      return `${run.cancel.by || 'Somebody'} asked it to stop ${f.ago(run.cancel.at, now)}${why}.`
    }
    if (run.suspended_at) return `Suspended ${f.ago(run.suspended_at, now)}: agent and job are stopped until they are continued.`
    return null
  }
  if (run.state === 'succeeded') return null
  if (run.state === 'lost' && !run.outcome) {
    const heard = run.last_heartbeat_at ? ` Last heard ${f.ago(run.last_heartbeat_at, now)}.` : ''
    const finding = worst(run)
    return run.diagnosis?.sentence || `Nobody knows how it ended.${heard}${finding ? ' ' + findingText(finding) : ''}`
  }
  return run.outcome?.message || null
}

/** When the next attempt begins, in a few words. */
function nextAttempt(run: RunRow, now: number): string {
  const left = (Date.parse(run.outcome?.retry_at ?? '') - now) / 1000
  return left > 0 ? `in ${f.ticking(left)}` : 'soon'
}

function retrySentence(run: RunRow, now: number): string {
  const ended = run.outcome?.message ? `Attempt ${run.attempt}: ${run.outcome.message} ` : ''
  return `${ended}Attempt ${run.attempt + 1} begins ${nextAttempt(run, now)}.`
}

export function worst(run: RunRow): Finding | undefined {
  const findings = run.findings ?? []
  return findings.find((x) => x.health === 'critical') ?? findings[0]
}

function findingSentence(finding: NonNullable<RunRow['findings']>[number], now: number): string {
  const text = findingText(finding)
  const evidence = /[.!?]$/.test(text) ? text : text + '.'
  if (!finding.next) return evidence
  const next = finding.next.charAt(0).toUpperCase() + finding.next.slice(1).replace(/\.$/, '')
  if (!finding.next_at) return `${evidence} ${next}.`
  const left = (Date.parse(finding.next_at) - now) / 1000
  return left > 0 ? `${evidence} ${next} in ${f.ticking(left)}.` : `${evidence} ${next}.`
}

/** What a list says of a run's end or trouble, in a few words. */
export function gist(run: RunRow, now: number): string {
  const o = run.outcome
  if (run.state === 'retrying' && !run.cancel && !worst(run)) return `attempt ${run.attempt + 1} ${nextAttempt(run, now)}`
  if (isActive(run.state)) return verdict(run, now) ?? run.status
  if (!o) return verdict(run, now) ?? ''
  if (o.reason === 'out_of_memory' && o.oom) {
    const limit = o.oom.limit_bytes > 0 ? ` of ${f.bytes(o.oom.limit_bytes)}` : ''
    const victim = o.oom.victim ? ` (${o.oom.victim}${o.oom.victim_pid ? ' ' + o.oom.victim_pid : ''})` : ''
    return `out of memory: peak ${f.bytes(o.oom.peak_bytes)}${limit}${victim}`
  }
  if (o.reason === 'exit_code') return o.exit_code ? `exit code ${o.exit_code}` : ''
  if (o.reason === 'signal') return `signal ${o.signal}`
  return o.message
}

const sureEnough = 0.5 // a cause that weighs less is one of several

/** Reasons that say little: the line that states the error, or the likeliest cause, says more. */
const saysLittle = ['exit_code', 'signal', 'install_failed']

/** The line that states the error, or else the likeliest cause, where the reason says little; or ''. */
export function cause(run: RunRow): string {
  if (!saysLittle.includes(run.outcome?.reason ?? '')) return ''
  if (run.diagnosis?.evidence) return run.diagnosis.evidence.text
  const first = run.diagnosis?.causes?.[0]
  return first && first.weight >= sureEnough ? first.evidence.replace(/\.$/, '') : ''
}

/** All that is known of why, for a title: what happened, and what it probably means. */
export function why(run: RunRow): string {
  const message = run.outcome?.message ?? ''
  const sentence = run.diagnosis?.sentence ?? ''
  return sentence === message ? message : [message, sentence].filter(Boolean).join(' ')
}

/** Who acknowledged a run, when and why. */
export function acknowledgedBy(a: Acknowledgement, now: number): string {
  return `acknowledged by ${a.by || 'somebody'} ${f.ago(a.at, now)}${a.why ? ': ' + a.why : ''}`
}
