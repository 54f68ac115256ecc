import type { Gap, LogLine } from '../api/types'
import { FoldMap, type Fold } from './folds'

export const chunkLines = 50 // drawn together
export const blockLines = 500 // read together
const keptBlocks = 80
/** The pause before a failed read is tried again. */
export const retryMs = 3000

export interface GapRow {
  gap: Gap
}

export type Record = LogLine | GapRow

export interface Answer {
  records: Record[]
  /** Lines of the attempt so far, from the answer's header; null without it. */
  total: number | null
}

/** Reads lines; the IO of this module. */
export type ReadLines = (q: { from_line?: number; lines?: number; tail?: number }, signal: AbortSignal) => Promise<Answer>

export interface Row {
  key: string
  n: number
  line?: LogLine // missing: not loaded yet
  gap?: Gap
  /** Set on the first line of a step. */
  stepStart?: boolean
  /** The row represents these folded lines. */
  fold?: Fold
  /** Lines are omitted before this one, as between two matches. */
  skipped?: boolean
  /** Listed only because a match is near. */
  context?: boolean
}

/** Rows of a log that can be drawn in chunks; slots are counted from 1. */
export interface LogRows {
  /** Lines of the whole attempt so far. */
  readonly total: number
  /** Slots: the number of rows if every slot had one row. */
  readonly size: number
  /** Older rows that were added in front, which moved all slots. */
  readonly prepended: number
  readonly capped: boolean
  readonly error: Error | null
  rows(chunk: number): Row[]
  /** The slot of line n, or of the next one that is shown. */
  slotOf(n: number): number
  want(fromSlot: number, toSlot: number): void
  /**
   * Reads the last lines. If more lines were added since the last read, the known lines may be
   * dropped; unless mayDropOlder is false: then all added lines are read.
   */
  tail(lines: number, mayDropOlder?: boolean): Promise<void>
  dropOpen(): void
  close(): void
}

/**
 * The lines of one attempt that were in view: read in aligned blocks, of which a bounded number
 * is kept. A line never changes after its newline; an open line is read again.
 */
export class LogWindow implements LogRows {
  total = 0
  readonly prepended = 0
  readonly capped = false
  private blocks = new Map<number, (LogLine | undefined)[]>() // in order of last use
  private gaps = new Map<number, Gap[]>() // by the line before them
  private requests = new Map<number, AbortController>()
  private closed = new AbortController()
  private retrying: ReturnType<typeof setTimeout> | undefined
  private wanted: [number, number] | null = null // the slots in view
  private missedTail = 0 // lines at the end that could not be read
  error: Error | null = null

  constructor(
    private readLines: ReadLines,
    private changed: () => void,
  ) {}

  private folds = new FoldMap()

  get size() {
    return this.folds.slots(this.total)
  }

  slotOf(n: number): number {
    return this.folds.slotOf(Math.min(n, this.total))
  }

  /** Shows each of these ranges of lines as one row. */
  fold(folds: Fold[]) {
    this.folds = new FoldMap(folds)
    this.changed()
  }

  close() {
    this.closed.abort()
    clearTimeout(this.retrying)
    for (const ctl of this.requests.values()) ctl.abort()
  }

  line(n: number): LogLine | undefined {
    return this.blocks.get(blockOf(n))?.[(n - 1) % blockLines]
  }

  /** The rows of chunk c (slots 50c+1 …), with placeholders for lines that are not loaded yet. */
  rows(c: number): Row[] {
    const rows: Row[] = []
    const first = c * chunkLines + 1
    const last = Math.min(first + chunkLines - 1, this.size)
    if (c === 0) this.pushGaps(rows, 0)
    for (let slot = first; slot <= last; slot++) {
      const n = this.folds.lineOf(slot)
      const fold = this.folds.at(n)
      const line = this.line(n)
      if (fold) {
        rows.push({ key: 'f' + n, n, line, fold })
        continue
      }
      rows.push({ key: 'l' + n, n, line, stepStart: line && (n === 1 || this.beginsStep(line)) })
      this.pushGaps(rows, n)
    }
    return rows
  }

  private beginsStep(line: LogLine): boolean {
    const before = this.line(line.n - 1)
    return before !== undefined && before.step !== line.step
  }

  private pushGaps(rows: Row[], after: number) {
    for (const gap of this.gaps.get(after) ?? []) {
      rows.push({ key: `g${gap.step}-${gap.stream}-${gap.at_bytes}`, n: after, gap })
    }
  }

  /** Reads the lines between two slots that are missing or open, and drops the oldest blocks. */
  want(from: number, to: number) {
    this.wanted = [from, to]
    const [first, last] = [Math.max(1, from), Math.min(Math.max(1, to), Math.max(1, this.size))]
    const blocks = new Map<number, boolean>() // by number: whether all of its wanted lines are loaded
    for (let slot = first; slot <= last; slot++) {
      const n = this.folds.lineOf(slot)
      const b = blockOf(n)
      blocks.set(b, (blocks.get(b) ?? true) && this.line(n) !== undefined)
    }
    for (const [b, ctl] of this.requests) {
      if (!blocks.has(b) && !blocks.has(b - 1) && !blocks.has(b + 1)) ctl.abort()
    }
    for (const [b, loaded] of blocks) {
      this.touch(b)
      if (!loaded && !this.requests.has(b)) void this.fetchBlock(b)
    }
    this.forgetOldest()
  }

  /** Reads the last lines, and with them the new total. */
  async tail(lines: number): Promise<void> {
    this.missedTail = Math.max(this.missedTail, lines)
    await this.guarded(async () => {
      this.take(await this.readLines({ tail: lines }, this.closed.signal), 0)
      this.missedTail = 0
    })
  }

  /** Drops open lines, which may have changed. */
  dropOpen() {
    for (const block of this.blocks.values()) {
      block.forEach((line, i) => {
        if (line?.open) block[i] = undefined
      })
    }
  }

  private async fetchBlock(b: number) {
    const ctl = new AbortController()
    this.requests.set(b, ctl)
    await this.guarded(async () => {
      const from = b * blockLines + 1
      const answer = await this.readLines({ from_line: from, lines: blockLines }, AbortSignal.any([ctl.signal, this.closed.signal]))
      this.take(answer, from)
    })
    this.requests.delete(b)
  }

  private async guarded(work: () => Promise<void>) {
    try {
      await work()
      this.error = null
    } catch (err) {
      if (err instanceof DOMException && err.name === 'AbortError') return
      this.error = err instanceof Error ? err : new Error(String(err))
      if (!('temporary' in this.error) || this.error.temporary) this.tryAgain()
    }
    if (!this.closed.signal.aborted) this.changed()
  }

  /** Tries again, after a pause, to read the lines in view. */
  private tryAgain() {
    if (this.retrying !== undefined || this.closed.signal.aborted) return
    this.retrying = setTimeout(() => {
      this.retrying = undefined
      if (this.missedTail > 0) void this.tail(this.missedTail)
      if (this.wanted) this.want(...this.wanted)
    }, retryMs)
  }

  private take(answer: Answer, from: number) {
    if (answer.total !== null) this.total = Math.max(this.total, answer.total)
    // A gap before the first line of an answer belongs after the line before it.
    const firstLine = answer.records.find((r): r is LogLine => 'n' in r)
    let after = firstLine ? firstLine.n - 1 : from > 0 ? from - 1 : this.total
    for (const r of answer.records) {
      if ('gap' in r) {
        this.addGap(after, r.gap)
        continue
      }
      this.total = Math.max(this.total, r.n)
      this.put(r)
      after = r.n
    }
  }

  private put(line: LogLine) {
    const b = blockOf(line.n)
    let block = this.blocks.get(b)
    if (!block) {
      block = []
      this.blocks.set(b, block)
    }
    const i = (line.n - 1) % blockLines
    const known = block[i]
    // Keep the same object for the same line, so that it is not drawn again.
    if (!known || known.open || line.text !== known.text) block[i] = line
  }

  private addGap(after: number, gap: Gap) {
    const same = (g: Gap) => g.step === gap.step && g.stream === gap.stream && g.at_bytes === gap.at_bytes
    for (const gaps of this.gaps.values()) if (gaps.some(same)) return
    this.gaps.set(after, [...(this.gaps.get(after) ?? []), gap])
  }

  private touch(b: number) {
    const block = this.blocks.get(b)
    if (!block) return
    this.blocks.delete(b)
    this.blocks.set(b, block)
  }

  private forgetOldest() {
    for (const b of this.blocks.keys()) {
      if (this.blocks.size <= keptBlocks) return
      this.blocks.delete(b)
    }
  }
}

function blockOf(n: number): number {
  return Math.floor((n - 1) / blockLines)
}

/** The text of a line, with the replacement character for bytes that are not UTF-8. */
export function textOf(line: LogLine): string {
  if (line.text !== undefined) return line.text
  if (line.base64 === undefined) return ''
  const binary = atob(line.base64)
  return new TextDecoder().decode(Uint8Array.from(binary, (c) => c.charCodeAt(0)))
}

/** Reads newline-delimited JSON; an incomplete last line is dropped. */
export function parseRecords(body: string): Record[] {
  const records: Record[] = []
  for (const text of body.split('\n')) {
    if (text === '') continue
    try {
      records.push(JSON.parse(text) as Record)
    } catch {
      break // the answer was cut off here
    }
  }
  return records
}
