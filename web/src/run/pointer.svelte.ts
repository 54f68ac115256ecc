/** What a Pointer needs of the page. */
export interface PointerTarget {
  /** The first line of the shown log at or after a moment; null when there is none. */
  lineAt(time: number): Promise<number | null>
  /** The log is in view. */
  logVisible(): boolean
  /** Shows a line, until it is called with null: then the log returns to where it was. */
  highlightLine(line: number | null): Promise<void>
}

const restMs = 140 // a pointer that rests in a chart for this long shows its moment in the log

/** The moment that charts and log point at together, in seconds since 1970. */
export class Pointer {
  time = $state<number | null>(null)
  private resting: ReturnType<typeof setTimeout> | undefined
  private highlighting = false

  constructor(private target: PointerTarget) {}

  /** The pointer is at a line that was printed at a moment, or left the lines. */
  atLine(at: string | null) {
    this.time = at ? Date.parse(at) / 1000 : null
  }

  /**
   * The pointer is at a moment of a chart, or left it. inChart: the person's pointer is in that
   * chart, not only the crosshair that all charts share.
   */
  inChart(time: number | null, inChart: boolean) {
    this.time = time
    clearTimeout(this.resting)
    if (!inChart) return
    if (time === null) {
      if (this.highlighting) void this.target.highlightLine(null)
      this.highlighting = false
      return
    }
    this.resting = setTimeout(() => void this.showInLog(time), restMs)
  }

  /** The person chose a moment: the log stays there. */
  picked() {
    clearTimeout(this.resting)
    this.highlighting = false
  }

  close() {
    clearTimeout(this.resting)
  }

  private async showInLog(time: number) {
    const line = await this.target.lineAt(time)
    if (line === null || !this.target.logVisible() || this.time === null) return
    this.highlighting = true
    await this.target.highlightLine(line)
  }
}
