import type { Stream } from '../api/types'
import { chunkLines, retryMs, type Answer, type LogRows, type Record, type Row } from './window'

/** Reads the last lines of one stream; the IO of this module. */
export type ReadTail = (q: { tail: number; stream: Stream }, signal: AbortSignal) => Promise<Answer>

const first = 1000
export const maxFilteredLines = 50_000

/**
 * The lines of one stream only, read backwards from the end as far as they are in view, and no
 * further than maxFilteredLines lines.
 */
export class FilteredWindow implements LogRows {
  error: Error | null = null
  total = 0
  prepended = 0
  /** There are no older lines of this stream. */
  private whole = false
  private records: Record[] = []
  private growing = false
  private closed = new AbortController()
  private retrying: ReturnType<typeof setTimeout> | undefined
  /** A failed read that will be tried again. */
  private missed: { lines: number; mayDropOlder: boolean } | null = null

  constructor(
    private readTail: ReadTail,
    private changed: () => void,
    private stream: Stream,
  ) {}

  get size() {
    return this.records.length
  }

  /** There may be older lines, which are not listed. */
  get capped() {
    return !this.whole && this.records.length >= maxFilteredLines
  }

  close() {
    this.closed.abort()
    clearTimeout(this.retrying)
  }

  rows(c: number): Row[] {
    return this.records.slice(c * chunkLines, (c + 1) * chunkLines).map((r) =>
      'gap' in r
        ? { key: `g${r.gap.step}-${r.gap.stream}-${r.gap.at_bytes}`, n: 0, gap: r.gap }
        : { key: 'l' + r.n, n: r.n, line: r },
    )
  }

  slotOf(n: number): number {
    const i = this.records.findIndex((r) => 'n' in r && r.n >= n)
    return i < 0 ? this.records.length : i + 1
  }

  want(from: number) {
    if (from > chunkLines * 2 || this.whole || this.growing || this.records.length >= maxFilteredLines) return
    if (this.records.length > 0) void this.tail(Math.min(maxFilteredLines, this.records.length * 2))
  }

  async tail(lines: number, mayDropOlder = true): Promise<void> {
    let n = this.records.length === 0 ? Math.max(first, lines) : lines
    this.growing = true
    try {
      for (;;) {
        const answer = await this.readTail({ tail: n, stream: this.stream }, this.closed.signal)
        if (mayDropOlder || this.joins(answer, n) || n >= maxFilteredLines) {
          this.take(answer, n)
          break
        }
        n = Math.min(maxFilteredLines, n * 4)
      }
      this.error = null
      if (this.missed && n >= this.missed.lines) this.missed = null
    } catch (err) {
      if (err instanceof DOMException && err.name === 'AbortError') return
      this.error = err instanceof Error ? err : new Error(String(err))
      if (!('temporary' in this.error) || this.error.temporary) this.tryAgain(n, mayDropOlder)
    } finally {
      this.growing = false
    }
    if (!this.closed.signal.aborted) this.changed()
  }

  /** Tries a failed read again, after a pause. */
  private tryAgain(lines: number, mayDropOlder: boolean) {
    const { missed } = this
    this.missed = { lines: Math.max(lines, missed?.lines ?? 0), mayDropOlder: mayDropOlder && (missed?.mayDropOlder ?? true) }
    if (this.retrying !== undefined || this.closed.signal.aborted) return
    this.retrying = setTimeout(() => {
      this.retrying = undefined
      if (this.missed) void this.tail(this.missed.lines, this.missed.mayDropOlder)
    }, retryMs)
  }

  dropOpen() {
    // Every answer replaces the end of the lines, with the open ones.
  }

  /** Whether an answer reaches back to the known lines, or to the beginning. */
  private joins(answer: Answer, requested: number): boolean {
    const lines = answer.records.filter((r) => 'n' in r)
    const last = this.records.findLast((r) => 'n' in r)
    return !last || lines.length < requested || lines.length === 0 || lines[0]!.n <= last.n
  }

  private take(answer: Answer, requested: number) {
    if (answer.total !== null) this.total = Math.max(this.total, answer.total)
    const got = answer.records
    const lines = got.filter((r) => 'n' in r)
    if (lines.length < requested) this.whole = true
    const begin = lines[0]?.n
    if (begin === undefined) return
    const last = this.records.findLast((r) => 'n' in r)
    const at = this.records.findIndex((r) => 'n' in r && r.n >= begin)
    if (at < 0 && last) {
      // More lines were added than were read: there is a hole, so drop the older ones.
      this.whole = lines.length < requested
      this.records = got
      return
    }
    if (at > 0) {
      this.records = [...this.records.slice(0, at), ...got]
      return
    }
    this.prepended += Math.max(0, this.older(got))
    this.records = got
  }

  /** How many of the records are before the first known line. */
  private older(got: Record[]): number {
    const known = this.records.find((r) => 'n' in r)
    return known ? got.findIndex((r) => 'n' in r && r.n >= known.n) : 0
  }
}
