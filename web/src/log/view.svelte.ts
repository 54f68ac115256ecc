// The state of a log on the screen, without markup: which rows are listed, which are in view, and
// whether the end is followed.
import { tick, untrack } from 'svelte'
import type { LogLine, Run, Stream } from '../lib/api/types'
import { FilteredWindow } from '../lib/log/filtered'
import type { Fold } from '../lib/log/folds'
import { MatchRows } from '../lib/log/matches'
import { parseHash, type LineRange } from '../lib/log/permalink'
import { LogSearch } from '../lib/log/search.svelte'
import { logSource, stepLines, tailLines } from '../lib/log/source'
import type { Chunks } from '../lib/log/virtual.svelte'
import { chunkLines, LogWindow, type LogRows } from '../lib/log/window'

export const rowHeight = 20
export const segmentLines = 1_000_000 // browsers limit the height of an element
const minRefreshMs = 150 // between two reads of the end
const refreshFactor = 2 // a pause is at least so many times as long as the last read took

interface Position {
  top: number
  follow: boolean
  segment: number
}

export class LogView {
  win = $state.raw<LogRows | null>(null)
  version = $state(0)
  /** The only stream that is shown; null for both. */
  stream = $state<Stream | null>(null)
  /** Only matches of the search are shown. */
  filtering = $state(false)
  follow = $state(parseHash(location.hash) === null)
  selected = $state<LineRange | null>(parseHash(location.hash))
  /** The lines there were when following ended. */
  linesBefore = $state(0)
  /** Which million lines are laid out. */
  segment = $state(0)
  ready = $state(false)
  /** Folded steps, by index, with their lines. */
  folds = $state.raw(new Map<number, Fold>())
  /** The line that belongs to the pointer's place in a chart; 0 for none. */
  highlighted = $state(0)
  /** The lines of a link that are not in this log. */
  missing = $state<LineRange | null>(null)
  readonly search: LogSearch

  chunks: Chunks | null = null
  scroller: HTMLElement | null = null
  private lastTop = 0
  private lastHeight = 0
  private refreshing = false
  private refreshAgain = false
  private full: LogRows | null = null // the unfiltered rows, kept while a search filters
  private matches: MatchRows | null = null
  private beforePeek: Position | null = null
  private moves = 0 // counts where the view was sent: only the last place counts

  constructor(
    readonly run: () => Run,
    readonly attempt: number,
  ) {
    this.search = new LogSearch(run().id, attempt)
  }

  /** Reads the rows, which are not reactive themselves: what reads through this is updated with each version. */
  read<T>(from: (w: LogRows) => T): T | undefined {
    return this.version >= 0 && this.win ? from(this.win) : undefined
  }
  readonly total = $derived(this.read((w) => w.total) ?? 0)
  readonly size = $derived(this.read((w) => w.size) ?? 0)
  readonly segments = $derived(Math.max(1, Math.ceil(this.size / segmentLines)))
  readonly firstChunk = $derived((this.segment * segmentLines) / chunkLines)
  readonly chunkCount = $derived(Math.ceil(Math.min(segmentLines, this.size - this.segment * segmentLines) / chunkLines))
  readonly newLines = $derived(this.follow || this.filtering ? 0 : Math.max(0, this.total - this.linesBefore))

  open() {
    this.full?.close()
    const source = logSource(this.run().id, this.attempt)
    const changed = () => this.version++
    const w = this.stream ? new FilteredWindow(source, changed, this.stream) : new LogWindow(source, changed)
    if (w instanceof LogWindow) w.fold([...this.folds.values()])
    this.full = this.win = w
    this.ready = false
    void this.start(w)
  }

  private async start(w: LogRows) {
    await w.tail(tailLines)
    if (this.win !== w) return
    this.ready = true
    await tick()
    const lines = untrack(() => this.selected)
    if (lines && !this.stream) await this.goToRange(lines)
    else this.goToEnd()
  }

  close() {
    this.full?.close()
    this.search.stop()
    this.chunks?.close()
  }

  /** Goes to the lines of a link, or to the end when they are not in this log. */
  async goToRange(lines: LineRange) {
    this.missing = lines.from > this.total && this.total > 0 ? lines : null
    if (this.missing) this.goToEnd()
    else await this.goToLine(lines.from)
  }

  /** Reads the end again, at a bounded pace, one read at a time. */
  async refresh() {
    if (!this.ready) return
    if (this.refreshing) {
      this.refreshAgain = true
      return
    }
    this.refreshing = true
    do {
      this.refreshAgain = false
      const began = performance.now()
      await this.full?.tail(this.follow ? tailLines : 1, this.follow)
      await tick()
      const took = performance.now() - began
      await new Promise((done) => setTimeout(done, Math.max(minRefreshMs, refreshFactor * took)))
    } while (this.refreshAgain)
    this.refreshing = false
  }

  /** Reads the end of a log that grows no more. */
  finish() {
    this.full?.dropOpen()
    void this.refresh()
  }

  /** Scrolls to the end while it is followed. */
  keepAtEnd() {
    const s = this.scroller
    if (!this.follow || !s) return
    s.scrollTop = s.scrollHeight
    this.rememberScroll(s)
  }

  private rememberScroll(s: HTMLElement) {
    this.lastTop = s.scrollTop
    this.lastHeight = s.scrollHeight
  }

  /** Goes to the end and follows it. */
  goToEnd() {
    this.moves++
    this.follow = true
    this.segment = this.segments - 1
    void tick().then(() => this.keepAtEnd())
  }

  stopFollowing() {
    this.follow = false
    this.linesBefore = this.total
  }

  toggleFollow() {
    if (this.follow) this.stopFollowing()
    else this.goToEnd()
  }

  /** Follows the end when the person scrolled to it, and stops when they scrolled up. */
  onScroll() {
    const s = this.scroller
    if (!s) return
    const atEnd = s.scrollTop + s.clientHeight >= s.scrollHeight - 8
    const shrunk = s.scrollHeight < this.lastHeight
    if (atEnd && this.segment === this.segments - 1 && !this.beforePeek) this.follow = true
    else if (s.scrollTop < this.lastTop - 2 && !shrunk && this.follow) this.stopFollowing()
    this.rememberScroll(s)
  }

  /** Scrolls line n into the upper third. */
  async goToLine(n: number) {
    const { win, chunks, scroller: s } = this
    if (!win || !chunks || !s) return
    const move = ++this.moves
    this.stopFollowing()
    const slot = Math.max(1, Math.min(win.slotOf(n), win.size))
    this.segment = Math.floor((slot - 1) / segmentLines)
    await tick()
    for (let tries = 0; tries < 3 && move === this.moves; tries++) {
      const chunk = Math.floor((slot - 1 - this.segment * segmentLines) / chunkLines)
      const row = s.querySelector<HTMLElement>(`[data-n="${n}"]`)
      const top = row
        ? row.getBoundingClientRect().top - s.getBoundingClientRect().top + s.scrollTop
        : chunks.topOf(chunk) + ((slot - 1) % chunkLines) * rowHeight
      s.scrollTop = Math.max(0, top - s.clientHeight / 3)
      if (row) break
      await new Promise((done) => requestAnimationFrame(done))
    }
    if (move === this.moves) this.lastTop = s.scrollTop
  }

  /** Selects line n and goes there, as a permalink does. */
  async selectLine(n: number) {
    this.beforePeek = null
    this.highlighted = 0
    if (this.stream) this.setStream(null)
    if (this.filtering) this.setFilter(false)
    this.selected = { from: n, to: n }
    await this.goToLine(n)
  }

  /** Highlights line n and scrolls to it, until it is called with null: then the view returns to where it was. */
  async highlightLine(n: number | null) {
    const s = this.scroller
    if (n === null) {
      this.highlighted = 0
      const was = this.beforePeek
      this.beforePeek = null
      if (!was || !s) return
      const move = ++this.moves
      this.segment = was.segment
      await tick()
      if (move !== this.moves) return
      if (was.follow) this.goToEnd()
      else s.scrollTop = was.top
      return
    }
    this.highlighted = n
    const row = s?.querySelector<HTMLElement>(`[data-n="${n}"]`)
    if (s && row) {
      const [box, at] = [s.getBoundingClientRect(), row.getBoundingClientRect()]
      if (at.top >= box.top && at.bottom <= box.bottom) return
    }
    this.beforePeek ??= { top: s?.scrollTop ?? 0, follow: this.follow, segment: this.segment }
    await this.goToLine(n)
  }

  setStream(stream: Stream | null) {
    if (stream === this.stream) return
    this.stream = stream
    this.follow = true
    this.segment = 0
    this.filtering = false
    this.open()
    this.chunks?.remeasure()
    if (this.search.on) void this.search.start(this.search.query, stream, 0)
  }

  /** Lists only matches and the lines around them, or all lines. */
  setFilter(on: boolean) {
    this.filtering = on
    const at = this.search.lines[this.search.current]
    if (on) {
      this.matches = new MatchRows()
      this.win = this.matches
      this.stopFollowing()
      this.segment = 0
      this.listMatches()
    } else this.win = this.full
    this.version++
    this.chunks?.remeasure()
    void tick().then(() => (at ? this.goToLine(at) : on ? undefined : this.goToEnd()))
  }

  /** Lists what the search has found so far. */
  listMatches() {
    if (!this.filtering || !this.matches) return
    this.matches.set(this.search.found, this.search.done?.stopped === 'limit')
    this.version++
  }

  async goToMatch(backwards: boolean) {
    const n = this.search.step(this.firstVisibleLine(), backwards)
    if (n !== null) await this.goToLine(n)
  }

  /** The listed lines when they are not the whole log; null when they are. */
  listedLines(): LogLine[] | null {
    const w = this.win
    if (!w || w instanceof LogWindow) return null
    const lines: LogLine[] = []
    for (let c = 0; c * chunkLines < w.size; c++) for (const row of w.rows(c)) if (row.line) lines.push(row.line)
    return lines
  }

  firstVisibleLine(): number {
    const s = this.scroller
    if (!s) return 1
    const top = s.getBoundingClientRect().top
    for (const row of s.querySelectorAll<HTMLElement>('[data-n]')) {
      if (row.getBoundingClientRect().bottom > top) return Number(row.dataset.n)
    }
    return 1
  }

  /** Folds a step's lines into one row, or unfolds them. */
  async toggleFold(step: number) {
    const folds = new Map(this.folds)
    if (folds.has(step)) folds.delete(step)
    else {
      const lines = await stepLines(this.run().id, this.attempt, step).catch(() => null)
      if (!lines) return
      folds.set(step, lines)
    }
    this.folds = folds
    if (this.full instanceof LogWindow) this.full.fold([...folds.values()])
    this.chunks?.remeasure()
  }
}
