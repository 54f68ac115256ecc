import { asLogLine, type FoundLine } from './search'
import { chunkLines, type LogRows, type Row } from './window'

/** The matching lines of a search, with the lines around them, as rows of a log. */
export class MatchRows implements LogRows {
  readonly prepended = 0
  readonly error = null
  capped = false
  total = 0
  private found: FoundLine[] = []

  get size() {
    return this.found.length
  }

  set(found: FoundLine[], capped: boolean) {
    this.found = found
    this.capped = capped
    this.total = found[found.length - 1]?.line ?? 0
  }

  rows(c: number): Row[] {
    return this.found.slice(c * chunkLines, (c + 1) * chunkLines).map((f, i) => {
      const before = this.found[c * chunkLines + i - 1]
      return {
        key: 'l' + f.line,
        n: f.line,
        line: asLogLine(f),
        skipped: before !== undefined && f.line > before.line + 1,
        context: f.context === true,
      }
    })
  }

  slotOf(n: number): number {
    const i = this.found.findIndex((f) => f.line >= n)
    return i < 0 ? this.found.length : i + 1
  }

  // All rows are loaded.
  want() {}
  async tail() {}
  dropOpen() {}
  close() {}
}
