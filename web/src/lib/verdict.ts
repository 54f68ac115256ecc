// What the page says about a run that is not well. Sentences come from the server; which of them
// are shown, and what is left out, depends on the codes and numbers of the API.
import type { Cause, Evidence, Finding, Outcome, Run, RunRow } from './api/types'
import * as f from './format'
import { isActive, worstFinding } from './state'

/**
 * The one sentence that says why a run is not well, or null when it is. The server's findings
 * come first, then what it knows of the end.
 */
export function verdict(run: RunRow, now: number): string | null {
  if (isActive(run.state)) return activeVerdict(run, now)
  if (run.state === 'succeeded') return null
  if (run.state === 'lost' && !run.outcome) return lostVerdict(run, now)
  return run.outcome?.message || null
}

function activeVerdict(run: RunRow, now: number): string | null {
  const finding = worstFinding(run)
  if (finding) return findingSentence(finding, now)
  if (run.cancel) {
    const why = run.cancel.why ? `: ${run.cancel.why}` : ''
    return `Cancel requested ${f.ago(run.cancel.at, now)}${run.cancel.by ? ` by ${run.cancel.by}` : ''}${why}.`
  }
  if (run.state === 'retrying') {
    const ended = run.outcome?.message ? `Attempt ${run.attempt}: ${run.outcome.message} ` : ''
    return `${ended}Attempt ${run.attempt + 1} ${nextAttempt(run, now, 'begins ')}.`
  }
  if (run.suspended_at) return `Suspended ${f.ago(run.suspended_at, now)}: agent and job are stopped until they are continued.`
  return null
}

function lostVerdict(run: RunRow, now: number): string {
  if (run.diagnosis?.sentence) return run.diagnosis.sentence
  const heartbeat = run.last_heartbeat_at ? ` The last heartbeat came ${f.ago(run.last_heartbeat_at, now)}.` : ''
  const finding = worstFinding(run)
  return `It is not known how the run ended.${heartbeat}${finding ? ' ' + finding.evidence : ''}`
}

function findingSentence(finding: Finding, now: number): string {
  const evidence = asSentence(finding.evidence)
  if (!finding.next) return evidence
  const next = capitalized(finding.next)
  const left = finding.next_at ? (Date.parse(finding.next_at) - now) / 1000 : 0
  return `${evidence} ${left > 0 ? `${next.replace(/\.$/, '')} in ${f.ticking(left)}.` : asSentence(next)}`
}

function asSentence(text: string): string {
  return /[.!?]$/.test(text) ? text : text + '.'
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** When the next attempt begins: "in 7 m 12 s", "soon", after a verb; or "waits in the queue". */
function nextAttempt(run: RunRow, now: number, verb = ''): string {
  const left = (Date.parse(run.outcome?.retry_at ?? '') - now) / 1000
  if (left > 0) return `${verb}in ${f.ticking(left)}`
  return run.submitted ? queueText(run) : verb + 'soon'
}

/** Where a run is that has been submitted and whose attempt has not started. */
function queueText(run: RunRow): string {
  return run.submitted?.worker && run.state === 'queued' ? `given to ${run.submitted.worker}, starting` : 'waits in the queue'
}

/** What a list says about the end or the trouble of a run, in a few words. */
export function summary(run: RunRow, now: number): string {
  const o = run.outcome
  if (run.state === 'queued' && !run.cancel && !worstFinding(run)) return queueText(run)
  if (run.state === 'retrying' && !run.cancel && !worstFinding(run)) return `attempt ${run.attempt + 1} ${nextAttempt(run, now)}`
  if (isActive(run.state)) return verdict(run, now) ?? run.status
  if (!o) return verdict(run, now) ?? ''
  if (o.reason === 'out_of_memory' && o.oom) {
    const victim = o.oom.victim ? ` (${o.oom.victim}${o.oom.victim_pid ? ' ' + o.oom.victim_pid : ''})` : ''
    return `out of memory: ${peakText(o.oom)}${victim}`
  }
  if (o.reason === 'exit_code') return o.exit_code ? `exit code ${o.exit_code}` : ''
  if (o.reason === 'signal') return `signal ${o.signal}`
  return o.message
}

function peakText(oom: NonNullable<Outcome['oom']>): string {
  return `peak ${f.bytes(oom.peak_bytes)}${oom.limit_bytes > 0 ? ` of ${f.bytes(oom.limit_bytes)}` : ''}`
}

const minShownWeight = 0.5 // weight of a cause that lists show

/** Reasons that do not say what went wrong: the error line or the most likely cause says more. */
const reasonsWithoutCause = ['exit_code', 'signal', 'install_failed']

/** The error line, or else the most likely cause, if the reason does not say what went wrong; else ''. */
export function shownCause(run: RunRow): string {
  if (!reasonsWithoutCause.includes(run.outcome?.reason ?? '')) return ''
  if (run.diagnosis?.evidence) return run.diagnosis.evidence.text
  const first = run.diagnosis?.causes?.[0]
  return first && first.weight >= minShownWeight ? first.evidence.replace(/\.$/, '') : ''
}

/** Everything that is known about why, for a title: what happened, and the diagnosis. */
export function reasonText(run: RunRow): string {
  const diagnosis = run.diagnosis ? diagnosisText(run.diagnosis, run.outcome ? ['outcome'] : []) : ''
  return [run.outcome?.message, diagnosis].filter(Boolean).join(' ')
}

type Source = NonNullable<Cause['source']>

/**
 * The diagnosis of a run without what is already shown: of a first cause that only repeats one of
 * these sources, only what follows it.
 */
function diagnosisText(d: NonNullable<RunRow['diagnosis']>, shown: Source[]): string {
  const [first, ...others] = d.causes ?? []
  if (!first?.source || !shown.includes(first.source)) return d.sentence
  return others.find((c) => c.cause === 'changed')?.evidence ?? ''
}

/** What the verdict shows besides its sentence. */
export interface Explanation {
  /** The diagnosis, without what is already shown. */
  text: string
  /** The line of the log that states the error. */
  evidence: Evidence | null
  /** Further causes that are less likely. */
  causes: Cause[]
  /** What the outcome knows and its message does not say. */
  facts: string[]
  /** Something differs from the last successful run. */
  changed: boolean
}

const maxCauses = 3

export function explain(run: Run): Explanation {
  const d = run.diagnosis
  const all = d?.causes ?? []
  const evidence = d?.evidence ?? null
  // The verdict of a run that is lost without an outcome is the diagnosis itself.
  const isVerdict = run.state === 'lost' && !run.outcome
  return {
    text: !d || isVerdict ? '' : diagnosisText(d, ['outcome', 'finding', 'log']),
    evidence,
    causes: all.slice(1).filter((c) => c.cause !== 'changed' && !c.source).slice(0, maxCauses),
    facts: isActive(run.state) ? [] : outcomeFacts(run.outcome),
    changed: all.some((c) => c.cause === 'changed'),
  }
}

/** Reasons whose messages name these facts. */
const namesCore = ['signal', 'install_failed']
const namesMemory = ['out_of_memory', 'install_failed']

function outcomeFacts(o: Outcome | null): string[] {
  if (!o) return []
  return [
    o.core_dumped && !namesCore.includes(o.reason) ? 'core dumped' : '',
    o.oom && !namesMemory.includes(o.reason) ? peakText(o.oom) : '',
  ].filter(Boolean)
}

/** The moment that the verdict is about: when memory ran out, when the finding began, or the last heartbeat. */
export function verdictMoment(run: Run): string | null {
  const finding = isActive(run.state) && run.state !== 'queued' ? worstFinding(run)?.since : undefined // a queued run has neither log nor charts
  return run.outcome?.oom?.at ?? finding ?? (run.state === 'lost' ? run.last_heartbeat_at : null) ?? null
}
