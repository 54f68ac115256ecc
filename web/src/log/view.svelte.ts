// What the view of a log knows and does, without a picture: which rows there are, where one
// stands, whether the end is followed.
import { tick, untrack } from 'svelte'
import type { LogLine, Run, Stream } from '../lib/api/types'
import { FilteredWindow } from '../lib/log/filtered'
import type { Fold } from '../lib/log/folds'
import { MatchRows } from '../lib/log/matches'
import { parseHash, type LineRange } from '../lib/log/permalink'
import { LogSearch } from '../lib/log/search.svelte'
import { logSource, stepLines } from '../lib/log/source'
import type { Chunks } from '../lib/log/virtual.svelte'
import { chunkLines, LogWindow, type LogRows } from '../lib/log/window'

export const rowHeight = 20
export const segmentLines = 1_000_000 // browsers cannot make an element tall enough for more
const tailLines = 200
const pace = 150 // ms between two looks at the end, at least
const rest = 2 // and so many times as long as the last look took

export class LogView {
  win = $state.raw<LogRows | null>(null)
  version = $state(0)
  only = $state<Stream | null>(null)
  filtering = $state(false)
  follow = $state(parseHash(location.hash) === null)
  selected = $state<LineRange | null>(parseHash(location.hash))
  seen = $state(0) // lines there were when following ended
  segment = $state(0) // which million lines are laid out
  ready = $state(false)
  /** Folded steps, by index, with their lines. */
  folds = $state.raw(new Map<number, Fold>())
  /** The line that something else on the page points at. */
  pointed = $state(0)
  /** A link led to a line that is not here. */
  missing = $state<LineRange | null>(null)
  readonly search: LogSearch

  chunks: Chunks | null = null
  scroller: HTMLElement | null = null
  private lastTop = 0
  private lastHeight = 0
  private looking = false
  private again = false
  private full: LogRows | null = null // the unfiltered rows, kept while a search filters
  private matches: MatchRows | null = null
  private before: { top: number; follow: boolean; segment: number } | null = null

  constructor(
    readonly run: () => Run,
    readonly attempt: number,
  ) {
    this.search = new LogSearch(run().id, attempt)
  }

  /** The window is not reactive by itself: reading through this is renewed by each version. */
  now<T>(read: (w: LogRows) => T): T | undefined {
    return this.version >= 0 && this.win ? read(this.win) : undefined
  }
  readonly total = $derived(this.now((w) => w.total) ?? 0)
  readonly size = $derived(this.now((w) => w.size) ?? 0)
  readonly segments = $derived(Math.max(1, Math.ceil(this.size / segmentLines)))
  readonly firstChunk = $derived((this.segment * segmentLines) / chunkLines)
  readonly chunkCount = $derived(Math.ceil(Math.min(segmentLines, this.size - this.segment * segmentLines) / chunkLines))
  readonly fresh = $derived(this.follow || this.filtering ? 0 : Math.max(0, this.total - this.seen))

  open() {
    this.full?.close()
    const source = logSource(this.run().id, this.attempt)
    const changed = () => this.version++
    const w = this.only ? new FilteredWindow(source, changed, this.only) : new LogWindow(source, changed)
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
    const aim = untrack(() => this.selected)
    if (aim && !this.only) await this.toLink(aim)
    else this.toEnd()
  }

  close() {
    this.full?.close()
    this.search.stop()
    this.chunks?.close()
  }

  /** Goes to the lines of a link, or says that they are not here. */
  async toLink(aim: LineRange) {
    this.missing = aim.from > this.total && this.total > 0 ? aim : null
    if (this.missing) this.toEnd()
    else await this.goTo(aim.from)
  }

  /** Looks at the end again, at a bounded pace, one look at a time. */
  async look() {
    if (!this.ready) return
    if (this.looking) {
      this.again = true
      return
    }
    this.looking = true
    do {
      this.again = false
      const began = performance.now()
      await this.full?.tail(this.follow ? tailLines : 1, this.follow)
      await tick()
      const took = performance.now() - began
      await new Promise((done) => setTimeout(done, Math.max(pace, rest * took)))
    } while (this.again)
    this.looking = false
  }

  ended() {
    this.full?.dropOpen()
    void this.look()
  }

  stick() {
    const s = this.scroller
    if (!this.follow || !s) return
    s.scrollTop = s.scrollHeight
    this.remember(s)
  }

  private remember(s: HTMLElement) {
    this.lastTop = s.scrollTop
    this.lastHeight = s.scrollHeight
  }

  toEnd() {
    this.follow = true
    this.segment = this.segments - 1
    void tick().then(() => this.stick())
  }

  unfollow() {
    this.follow = false
    this.seen = this.total
  }

  scrolled() {
    const s = this.scroller
    if (!s) return
    const atEnd = s.scrollTop + s.clientHeight >= s.scrollHeight - 8
    const shrunk = s.scrollHeight < this.lastHeight
    if (atEnd && this.segment === this.segments - 1 && !this.before) this.follow = true
    else if (s.scrollTop < this.lastTop - 2 && !shrunk && this.follow) this.unfollow()
    this.remember(s)
  }

  /** Brings line n into the upper third. */
  async goTo(n: number) {
    const { win, chunks, scroller: s } = this
    if (!win || !chunks || !s) return
    this.unfollow()
    const slot = Math.max(1, Math.min(win.slotOf(n), win.size))
    this.segment = Math.floor((slot - 1) / segmentLines)
    await tick()
    for (let tries = 0; tries < 3; tries++) {
      const chunk = Math.floor((slot - 1 - this.segment * segmentLines) / chunkLines)
      const row = s.querySelector<HTMLElement>(`[data-n="${n}"]`)
      const top = row
        ? row.getBoundingClientRect().top - s.getBoundingClientRect().top + s.scrollTop
        : chunks.topOf(chunk) + ((slot - 1) % chunkLines) * rowHeight
      s.scrollTop = Math.max(0, top - s.clientHeight / 3)
      if (row) break
      await new Promise((done) => requestAnimationFrame(done))
    }
    this.lastTop = s.scrollTop
  }

  /** Marks line n and goes there, as a permalink does. */
  async mark(n: number) {
    this.before = null
    this.pointed = 0
    if (this.only) this.setOnly(null)
    if (this.filtering) this.setFilter(false)
    this.selected = { from: n, to: n }
    await this.goTo(n)
  }

  /** Shows line n for as long as something points at it; null goes back to where one was. */
  async peek(n: number | null) {
    const s = this.scroller
    if (n === null) {
      this.pointed = 0
      const was = this.before
      this.before = null
      if (!was || !s) return
      this.segment = was.segment
      await tick()
      if (was.follow) this.toEnd()
      else s.scrollTop = was.top
      return
    }
    this.pointed = n
    const row = s?.querySelector<HTMLElement>(`[data-n="${n}"]`)
    if (s && row) {
      const [box, at] = [s.getBoundingClientRect(), row.getBoundingClientRect()]
      if (at.top >= box.top && at.bottom <= box.bottom) return
    }
    this.before ??= { top: s?.scrollTop ?? 0, follow: this.follow, segment: this.segment }
    await this.goTo(n)
  }

  setOnly(stream: Stream | null) {
    if (stream === this.only) return
    this.only = stream
    this.follow = true
    this.segment = 0
    this.filtering = false
    this.open()
    this.chunks?.remeasure()
    if (this.search.on) void this.search.start(this.search.wanted, stream, 0)
  }

  /** Only matches and the lines around them, or everything again. */
  setFilter(on: boolean) {
    this.filtering = on
    const at = this.search.lines[this.search.current]
    if (on) {
      this.matches = new MatchRows()
      this.win = this.matches
      this.unfollow()
      this.segment = 0
      this.takeFound()
    } else this.win = this.full
    this.version++
    this.chunks?.remeasure()
    void tick().then(() => (at ? this.goTo(at) : on ? undefined : this.toEnd()))
  }

  /** Brings what the search found into the filtered rows. */
  takeFound() {
    if (!this.filtering || !this.matches) return
    this.matches.set(this.search.found, this.search.done?.stopped === 'limit')
    this.version++
  }

  async next(back: boolean) {
    const n = this.search.step(this.firstInSight(), back)
    if (n !== null) await this.goTo(n)
  }

  /** The lines that are listed where not all are; null when the whole log is. */
  shownLines(): LogLine[] | null {
    const w = this.win
    if (!w || w instanceof LogWindow) return null
    const lines: LogLine[] = []
    for (let c = 0; c * chunkLines < w.size; c++) for (const row of w.rows(c)) if (row.line) lines.push(row.line)
    return lines
  }

  /** The first line that can be seen now. */
  firstInSight(): number {
    const s = this.scroller
    if (!s) return 1
    const top = s.getBoundingClientRect().top
    for (const row of s.querySelectorAll<HTMLElement>('[data-n]')) {
      if (row.getBoundingClientRect().bottom > top) return Number(row.dataset.n)
    }
    return 1
  }

  /** Folds a step's lines into one row, or shows them again. */
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
