import { apiURL, call } from '../api/client'
import type { LogLine, Stream } from '../api/types'
import { parseRecords, type Answer } from './window'

export interface LogQuery {
  from_line?: number
  lines?: number
  tail?: number
  stream?: Stream
  step?: number
  from_time?: string
  format?: 'gzip'
  download?: 1
}

/** Lines that are read from the end of a log when it opens. */
export const tailLines = 200

/** The address of lines of one attempt of a run. */
export function logURL(run: string, attempt: number, q: LogQuery): string {
  return apiURL(`runs/${encodeURIComponent(run)}/log`, { attempt, ...q })
}

/** Reads lines of one attempt of a run. */
export function logSource(run: string, attempt: number): (q: LogQuery, signal: AbortSignal) => Promise<Answer> {
  return async (q, signal) => {
    const res = await call(logURL(run, attempt, q), { signal, headers: { Accept: 'application/x-ndjson' } })
    const lines = Number.parseInt(res.headers.get('Stint-Log-Lines') ?? '', 10)
    return { records: parseRecords(await res.text()), total: Number.isNaN(lines) ? null : lines }
  }
}

/** Reads lines from a line on; fewer where the log ends. */
export async function linesFrom(run: string, attempt: number, from: number, lines: number): Promise<LogLine[]> {
  const res = await call(logURL(run, attempt, { from_line: from, lines }), { headers: { Accept: 'application/x-ndjson' } })
  return parseRecords(await res.text()).filter((r): r is LogLine => 'n' in r)
}

/** The number of the first line printed at or after a moment; null when there is none. */
export async function lineAt(run: string, attempt: number, at: string): Promise<number | null> {
  const res = await call(logURL(run, attempt, { from_time: at, lines: 1 }), { headers: { Accept: 'application/x-ndjson' } })
  for (const r of parseRecords(await res.text())) if ('n' in r) return r.n
  return null
}

/** The first and the last line of a step; null when it printed nothing. */
export async function stepLines(run: string, attempt: number, step: number): Promise<{ from: number; to: number } | null> {
  const read = async (q: LogQuery) => {
    const res = await call(logURL(run, attempt, { step, ...q }), { headers: { Accept: 'application/x-ndjson' } })
    return parseRecords(await res.text()).find((r) => 'n' in r)
  }
  const [first, last] = await Promise.all([read({ from_line: 1, lines: 1 }), read({ tail: 1 })])
  return first && last && 'n' in first && 'n' in last ? { from: first.n, to: last.n } : null
}

/** The exact text of some lines, as the job printed them. */
export async function textOfLines(run: string, attempt: number, from: number, to: number): Promise<string> {
  return (await call(logURL(run, attempt, { from_line: from, lines: to - from + 1 }))).text()
}

/** The address of the whole log, byte for byte. */
export function downloadURL(run: string, attempt: number, gzip = false): string {
  return logURL(run, attempt, { ...(gzip ? { format: 'gzip' } : {}), download: 1 })
}
