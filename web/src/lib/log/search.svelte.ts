import { ApiError, apiURL, call } from '../api/client'
import { readLines } from '../api/ndjson'
import type { Stream } from '../api/types'
import { nextOf, pattern, previousOf, type Done, type FoundLine, type SearchItem, type SearchQuery } from './search'

export const maxKeptMatches = 5000 // matches whose lines are kept; all are counted

/** A search through the whole log of one attempt. The server searches; matches appear as they are found. */
export class LogSearch {
  query = $state.raw<SearchQuery>({ q: '', regex: false, case: false })
  /** The numbers of the matching lines that were found so far, in order. */
  lines = $state.raw<number[]>([])
  /** The matching lines, with the lines around them when the search has context. */
  found = $state.raw<FoundLine[]>([])
  count = $state(0)
  /** Share of the log that was searched, 0 to 1. */
  progress = $state(0)
  done = $state.raw<Done | null>(null)
  error = $state.raw<ApiError | null>(null)
  busy = $state(false)
  /** Index in lines of the current match; -1 for none. */
  current = $state(-1)
  readonly re = $derived(pattern(this.query))
  readonly on = $derived(this.query.q !== '')
  private ctl: AbortController | null = null

  constructor(
    private run: string,
    private attempt: number,
  ) {}

  /** Starts a search; context is how many lines around each match are read, too. */
  async start(query: SearchQuery, stream: Stream | null, context: number): Promise<void> {
    this.stop()
    this.query = query
    this.lines = []
    this.found = []
    this.count = 0
    this.progress = 0
    this.done = null
    this.error = null
    this.current = -1
    if (query.q === '') return
    const ctl = new AbortController()
    this.ctl = ctl
    this.busy = true
    const lines: number[] = []
    const found: FoundLine[] = []
    try {
      await this.read({ stream, limit: maxKeptMatches, context }, ctl.signal, (item) => {
        if ('line' in item) {
          found.push(item)
          if (!item.context) lines.push(item.line)
        }
      }, () => {
        // A line that took long to end arrives after lines with higher numbers.
        this.lines = lines.toSorted((a, b) => a - b)
        this.found = found.toSorted((a, b) => a.line - b.line)
        this.count = Math.max(this.count, lines.length)
      })
      await this.countRest(stream, ctl.signal)
    } catch (err) {
      if (ctl.signal.aborted) return
      this.error = ApiError.of(err)
    }
    this.busy = false
  }

  /** Searches the lines from `from` on, which were printed after the search. Matches that were found before stay. */
  async continueFrom(from: number, stream: Stream | null, context: number): Promise<void> {
    if (!this.on || this.busy || !this.done || ['limit', 'time'].includes(this.done.stopped) || this.lines.length >= maxKeptMatches) return
    const ctl = new AbortController()
    this.ctl = ctl
    this.busy = true
    const before = this.count
    const known = new Map(this.found.map((x) => [x.line, x]))
    const limit = maxKeptMatches - this.lines.length
    try {
      await this.read({ stream, limit, context, from }, ctl.signal, (item) => {
        if ('line' in item && (!item.context || !known.has(item.line))) known.set(item.line, item)
      }, () => {
        this.found = [...known.values()].sort((a, b) => a.line - b.line)
        this.lines = this.found.filter((x) => !x.context).map((x) => x.line)
        this.count = Math.max(before, this.lines.length)
      })
    } catch {
      if (ctl.signal.aborted) return // the next lines start another search
    }
    this.busy = false
  }

  /** Counts the matches behind those whose lines are kept. */
  private async countRest(stream: Stream | null, signal: AbortSignal) {
    const first = this.done
    if (first?.stopped !== 'limit' || !first.next_line) return
    await this.read({ stream, limit: 0, context: 0, from: first.next_line }, signal, () => {}, () => {})
    this.count = first.matches + (this.done?.matches ?? 0)
    this.done = { ...(this.done ?? first), stopped: 'limit' }
  }

  private async read(
    q: { stream: Stream | null; limit: number; context: number; from?: number },
    signal: AbortSignal,
    each: (item: SearchItem) => void,
    batch: () => void,
  ) {
    const { query } = this
    const url = apiURL(`runs/${encodeURIComponent(this.run)}/log/search`, {
      attempt: this.attempt,
      q: query.q,
      regex: query.regex || undefined,
      case: query.case || undefined,
      stream: q.stream ?? undefined,
      from_line: q.from,
      limit: q.limit,
      before: q.context || undefined,
      after: q.context || undefined,
    })
    const res = await call(url, { signal, headers: { Accept: 'application/x-ndjson' } })
    await readLines<SearchItem>(res, (items) => {
      for (const item of items) {
        each(item)
        if ('progress' in item) this.progress = item.progress.of > 0 ? item.progress.bytes / item.progress.of : 0
        if ('done' in item) {
          this.done = item.done
          this.count = Math.max(this.count, item.done.matches)
        }
      }
      batch()
    })
  }

  /** Moves to the match after or before a line, and from the last to the first; null when there is none. */
  step(from: number, backwards: boolean): number | null {
    if (this.lines.length === 0) return null
    const at = this.lines[this.current]
    const line = at ?? from
    this.current = backwards ? previousOf(this.lines, line) : nextOf(this.lines, at === undefined ? line - 1 : line)
    return this.lines[this.current] ?? null
  }

  stop() {
    this.ctl?.abort()
    this.ctl = null
    this.busy = false
  }
}

/** The next error line from `from` on, or else the first one of the log; null when there is none. */
export async function nextError(run: string, attempt: number, from: number): Promise<number | null> {
  const q = String.raw`(?i)\b(error|exception|fatal|panic|traceback|failed|failure)\b`
  for (const begin of from > 1 ? [from, 1] : [1]) {
    const url = apiURL(`runs/${encodeURIComponent(run)}/log/search`, { attempt, q, regex: true, case: true, limit: 1, from_line: begin })
    const res = await call(url, { headers: { Accept: 'application/x-ndjson' } })
    let line: number | null = null
    await readLines<SearchItem>(res, (items) => {
      for (const item of items) if ('line' in item && line === null) line = item.line
    })
    if (line !== null) return line
  }
  return null
}
