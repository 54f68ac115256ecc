import type { Due, Expectation } from './api/types'

// The fields of the form that says when a job is expected to be started.

export type Unit = 'minutes' | 'hours' | 'days'
export const units: Unit[] = ['minutes', 'hours', 'days']
const seconds: Record<Unit, number> = { minutes: 60, hours: 3600, days: 86_400 }

/** A length of time as people give it. */
export interface Length {
  number: number | null
  unit: Unit
}

export interface ExpectationFields {
  kind: 'cron' | 'every'
  cron: string
  zone: string
  every: Length
  grace: Length
  /** One KEY=VALUE a line. */
  labels: string
}

/** A length in the largest unit of which it is a whole number. */
export function lengthOf(s: number): Length {
  const unit = units.toReversed().find((u) => s % seconds[u] === 0) ?? 'minutes'
  return { number: s / seconds[unit], unit }
}

function secondsOf(l: Length): number {
  return Math.round((l.number ?? 0) * seconds[l.unit])
}

/** The fields of an expectation, or those to begin with. */
export function fieldsOf(e: (Expectation & Pick<Due, 'labels'>) | null | undefined, zone: string): ExpectationFields {
  return {
    kind: e?.every_seconds ? 'every' : 'cron',
    cron: e?.cron ?? '',
    zone: e?.zone ?? zone,
    every: lengthOf(e?.every_seconds || 86_400),
    grace: lengthOf(e?.grace_seconds || 3600),
    labels: labelsText(e?.labels),
  }
}

/** What the fields say; the server checks it. */
export function expectationOf(f: ExpectationFields): Expectation {
  const grace_seconds = secondsOf(f.grace) || -1 // 0 is no grace that can be set, and absent is an hour
  return f.kind === 'cron' ? { cron: f.cron.trim(), zone: f.zone.trim(), grace_seconds } : { every_seconds: secondsOf(f.every) || -1, grace_seconds }
}

/** Whether enough is filled in to ask the server about it. */
export function isFilled(f: ExpectationFields): boolean {
  return f.grace.number !== null && (f.kind === 'cron' ? f.cron.trim() !== '' : f.every.number !== null)
}

/** Labels, one KEY=VALUE a line: a value may have blanks. */
export function labelsText(labels: Due['labels']): string {
  return Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`).join('\n')
}

/** Reads labels, one KEY=VALUE a line, or says what is wrong. Which keys and values there may be is left to the server. */
export function readLabels(text: string): { labels: Record<string, string>; mistake: string } {
  const labels: Record<string, string> = {}
  for (const [i, line] of text.split('\n').entries()) {
    const word = line.trim()
    if (!word) continue
    const at = word.indexOf('=')
    if (at <= 0) return { labels, mistake: `Line ${i + 1}: a label is written KEY=VALUE.` }
    const key = word.slice(0, at)
    if (Object.hasOwn(labels, key)) return { labels, mistake: `Line ${i + 1}: the label ${key} is there twice.` }
    labels[key] = word.slice(at + 1)
  }
  return { labels, mistake: '' }
}
