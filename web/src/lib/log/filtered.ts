import type { Stream } from '../api/types'
import { againMs, chunkLines, type Answer, type LogRows, type Record, type Row } from './window'

/** Asks for the last lines of one stream; the IO of this module. */
export type AskTail = (q: { tail: number; stream: Stream }, signal: AbortSignal) => Promise<Answer>

const first = 1000
export const filteredMost = 50_000

/**
 * The lines of one stream only, read from the end backwards as far as they are looked at,
 * and no further than filteredMost lines.
 */
export class FilteredWindow implements LogRows {
  error: Error | null = null
  total = 0
  prepended = 0
  /** Nothing of this stream is older than what is here. */
  private whole = false
  private records: Record[] = []
  private growing = false
  private closed = new AbortController()
  private again: ReturnType<typeof setTimeout> | undefined
  /** A read that failed and is to be done again. */
  private missed: { lines: number; mayBeginAnew: boolean } | null = null

  constructor(
    private ask: AskTail,
    private changed: () => void,
    private stream: Stream,
  ) {}

  get size() {
    return this.records.length
  }

  /** Older lines exist that this view does not go back to. */
  get capped() {
    return !this.whole && this.records.length >= filteredMost
  }

  close() {
    this.closed.abort()
    clearTimeout(this.again)
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
    if (from > chunkLines * 2 || this.whole || this.growing || this.records.length >= filteredMost) return
    if (this.records.length > 0) void this.tail(Math.min(filteredMost, this.records.length * 2))
  }

  async tail(lines: number, mayBeginAnew = true): Promise<void> {
    let n = this.records.length === 0 ? Math.max(first, lines) : lines
    this.growing = true
    try {
      for (;;) {
        const answer = await this.ask({ tail: n, stream: this.stream }, this.closed.signal)
        if (mayBeginAnew || this.joins(answer, n) || n >= filteredMost) {
          this.take(answer, n)
          break
        }
        n = Math.min(filteredMost, n * 4)
      }
      this.error = null
      if (this.missed && n >= this.missed.lines) this.missed = null
    } catch (err) {
      if (err instanceof DOMException && err.name === 'AbortError') return
      this.error = err instanceof Error ? err : new Error(String(err))
      if (!('temporary' in this.error) || this.error.temporary) this.tryAgain(n, mayBeginAnew)
    } finally {
      this.growing = false
    }
    if (!this.closed.signal.aborted) this.changed()
  }

  /** Does a read that failed again, after a pause. */
  private tryAgain(lines: number, mayBeginAnew: boolean) {
    const { missed } = this
    this.missed = { lines: Math.max(lines, missed?.lines ?? 0), mayBeginAnew: mayBeginAnew && (missed?.mayBeginAnew ?? true) }
    if (this.again !== undefined || this.closed.signal.aborted) return
    this.again = setTimeout(() => {
      this.again = undefined
      if (this.missed) void this.tail(this.missed.lines, this.missed.mayBeginAnew)
    }, againMs)
  }

  dropOpen() {
    // Every answer replaces the end of what is here, open lines with it.
  }

  /** An answer reaches back to the lines that are here, or there is nothing before it. */
  private joins(answer: Answer, asked: number): boolean {
    const lines = answer.records.filter((r) => 'n' in r)
    const last = this.records.findLast((r) => 'n' in r)
    return !last || lines.length < asked || lines.length === 0 || lines[0]!.n <= last.n
  }

  private take(answer: Answer, asked: number) {
    if (answer.total !== null) this.total = Math.max(this.total, answer.total)
    const got = answer.records
    const lines = got.filter((r) => 'n' in r)
    if (lines.length < asked) this.whole = true
    const begin = lines[0]?.n
    if (begin === undefined) return
    const last = this.records.findLast((r) => 'n' in r)
    const at = this.records.findIndex((r) => 'n' in r && r.n >= begin)
    if (at < 0 && last) {
      // More came than was asked for: what is between is not known, so begin anew.
      this.whole = lines.length < asked
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

  /** How many of the records stand before the first line that is here already. */
  private older(got: Record[]): number {
    const known = this.records.find((r) => 'n' in r)
    return known ? got.findIndex((r) => 'n' in r && r.n >= known.n) : 0
  }
}
