import type { Due } from './api/types'
import { ago, duration, moment, plural } from './format'

/** Says when a job is expected to be started. */
export function expectedText(due: Due): string {
  const when = due.cron ? `at ${due.cron} ${due.zone ?? ''}`.trim() : `every ${duration(due.every_seconds ?? 0)}`
  return `expected ${when}, ${duration(due.grace_seconds ?? 0)} of grace`
}

/** Says how the expectation of a job stands. */
export function dueText(due: Due, now: number): string {
  switch (due.state) {
    case 'new':
      return 'nothing is due before the first start'
    case 'paused':
      return 'paused: nothing is due'
    case 'missed': {
      const times = due.missed_times ?? 1
      const since = due.missed_since ? `was due ${ago(due.missed_since, now)}` : 'was due'
      return `missed: ${since}${times > 1 ? ` and ${plural(times - 1, 'time')} since` : ''}, and has not started`
    }
    case 'due':
      return `due ${due.next_due_at ? ago(due.next_due_at, now) : 'now'}${due.missed_at ? `, missed at ${moment(due.missed_at, now)}` : ''}`
    default:
      return due.next_due_at ? `next due ${moment(due.next_due_at, now)}` : 'as expected'
  }
}
