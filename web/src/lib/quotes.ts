// Sentences of the server quote what jobs printed and what people wrote. A moment in such a text is
// not the server's, and stays as it is.
import type { RunEvent, RunRow } from './api/types'

/**
 * What sentences about a run may quote: a line of its log, the status that the job reported, its
 * command, and why somebody canceled it. The reason of a policy is a sentence of the server.
 */
export function quotesOf(run: RunRow): string[] {
  const why = run.cancel?.by_policy ? '' : run.cancel?.why
  return [run.diagnosis?.evidence?.text ?? '', run.status, run.command, why ?? '']
}

/** Rules of events whose evidence names no moment of the server: it ends with a command, or with what somebody wrote. */
const quotingRules = ['install_started', 'command_started', 'stop_requested', 'retry_requested', 'acknowledged', 'unacknowledged']

/** What the evidence of an event of a run quotes. */
export function quotesOfEvent(run: RunRow, event: Pick<RunEvent, 'rule' | 'evidence' | 'by_policy'>): string[] {
  const whole = quotingRules.includes(event.rule) && !event.by_policy
  return whole ? [event.evidence] : quotesOf(run)
}
