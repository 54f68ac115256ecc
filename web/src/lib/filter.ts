import type { RunFilter } from './api/client'

/** The spans of time that can be selected, and their lengths in seconds. */
export const spans = [
  { id: '1h', name: 'last hour', seconds: 3600 },
  { id: '24h', name: 'last 24 hours', seconds: 86_400 },
  { id: '7d', name: 'last 7 days', seconds: 7 * 86_400 },
  { id: '30d', name: 'last 30 days', seconds: 30 * 86_400 },
] as const

/** The filters in the address of a page; unknown words are passed on to the server. */
export interface Filters {
  job: string
  state: string
  health: string
  label: string
  host: string
  q: string
  /** The id of a span, or "2026-05-04T10:00..2026-05-04T12:00" in UTC; either end may be open. */
  time: string
}

export const names = ['job', 'state', 'health', 'label', 'host', 'q', 'time'] as const

export function readFilters(search: string): Filters {
  const q = new URLSearchParams(search)
  return Object.fromEntries(names.map((n) => [n, q.get(n) ?? ''])) as unknown as Filters
}

export function writeFilters(f: Filters): Record<string, string> {
  return Object.fromEntries(names.flatMap((n) => (f[n] ? [[n, f[n]]] : [])))
}

export function anyFilter(f: Filters): boolean {
  return names.some((n) => f[n] !== '')
}

/** The query for the server. Times count from now, rounded, so that equal filters have equal queries. */
export function queryOf(f: Filters, now: number): RunFilter {
  const { time, label, ...rest } = f
  const out: RunFilter = Object.fromEntries(Object.entries(rest).filter(([, v]) => v))
  if (label) out.label = label.split(',').map((l) => l.trim()).filter(Boolean)
  const span = spans.find((s) => s.id === time)
  if (span) out.since = new Date(Math.floor((now - span.seconds * 1000) / 60_000) * 60_000).toISOString()
  else if (time.includes('..')) {
    const [since = '', until = ''] = time.split('..')
    if (moment(since)) out.since = moment(since)
    if (moment(until)) out.until = moment(until)
  }
  return out
}

function moment(text: string): string {
  const ms = Date.parse(/Z$|[+-]\d\d:\d\d$/.test(text) ? text : text + 'Z')
  return Number.isNaN(ms) ? '' : new Date(ms).toISOString()
}

/** Adds a word to a comma-separated list, or removes it. */
export function toggleWord(list: string, word: string): string {
  const words = list.split(',').filter(Boolean)
  return (words.includes(word) ? words.filter((w) => w !== word) : [...words, word]).join(',')
}
