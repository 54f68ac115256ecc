import { apiURL, call } from '../api/client'
import type { Stream } from '../api/types'
import { parseRecords, type Answer } from './window'

export interface LogQuery {
  from_line?: number
  lines?: number
  tail?: number
  stream?: Stream
}

/** Asks the server for lines of one attempt of a run. */
export function logSource(run: string, attempt: number): (q: LogQuery, signal: AbortSignal) => Promise<Answer> {
  return async (q, signal) => {
    const url = apiURL(`runs/${encodeURIComponent(run)}/log`, { attempt, ...q })
    const res = await call(url, { signal, headers: { Accept: 'application/x-ndjson' } })
    const lines = Number.parseInt(res.headers.get('Stint-Log-Lines') ?? '', 10)
    return { records: parseRecords(await res.text()), total: Number.isNaN(lines) ? null : lines }
  }
}

/** The number of the first line printed at or after a moment; null when there is none. */
export async function lineAt(run: string, attempt: number, at: string): Promise<number | null> {
  const url = apiURL(`runs/${encodeURIComponent(run)}/log`, { attempt, from_time: at, lines: 1 })
  const res = await call(url, { headers: { Accept: 'application/x-ndjson' } })
  for (const r of parseRecords(await res.text())) if ('n' in r) return r.n
  return null
}

/** Where the whole log is, byte for byte. */
export function downloadURL(run: string, attempt: number): string {
  return apiURL(`runs/${encodeURIComponent(run)}/log`, { attempt, download: 1 })
}
