import { count, plural } from '../format'
import type { Stream } from '../api/types'
import type { LineRange } from './permalink'
import type { Done } from './search'

/** What the line above a log says. */
export interface Notice {
  tone: 'error' | 'warning' | 'info'
  text: string
}

/** What the notice above a log depends on. */
export interface LogCondition {
  /** Why the log could not be read. */
  error: Error | null
  /** Why the search failed; the server answers 404 when it cannot search. */
  searchError: { status: number; message: string } | null
  searchDone: Done | null
  /** Lines of a link that are not in the log. */
  missing: LineRange | null
  /** Lines of the log so far. */
  lines: number
  /** The log still grows. */
  live: boolean
  message: string
}

/** The most serious thing that a person needs to know about a log; null for nothing. */
export function noticeOf(c: LogCondition): Notice | null {
  if (c.error) return { tone: 'error', text: `The log could not be read: ${c.error.message}` }
  if (c.searchError) {
    return { tone: 'error', text: c.searchError.status === 404 ? 'This server cannot search logs: it is older than this page.' : c.searchError.message }
  }
  if (c.searchDone?.stopped === 'time') {
    return { tone: 'warning', text: `The search took too long and stopped at line ${count(c.searchDone.next_line ?? 0)}. Narrow the search.` }
  }
  if (c.missing) {
    const lines = plural(c.lines, 'line') + (c.live ? ' so far' : '')
    return {
      tone: 'warning',
      text: `Line ${count(c.missing.from)} is not in this log: it has ${lines}. The link may be to another attempt, or retention removed that part. This is the end.`,
    }
  }
  return c.message ? { tone: 'info', text: c.message } : null
}

/** The text that is shown when there are no lines. */
export function emptyText(c: { filtering: boolean; stream: Stream | null; live: boolean }): string {
  if (c.filtering) return 'No line matches.'
  if (c.stream) return `Nothing was printed on ${c.stream}.`
  return c.live ? 'Nothing printed yet. Lines appear here as the job writes them.' : 'This attempt printed nothing.'
}

/** Why older rows are not listed. */
export function cappedText(c: { filtering: boolean; stream: Stream | null; shown: number; matches: number }): string {
  return c.filtering
    ? `The first ${count(c.shown)} of ${count(c.matches)} matches. Narrow the search to see the others.`
    : `Older lines of ${c.stream} are not listed here. The download has all of them.`
}
