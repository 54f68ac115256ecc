import { ordered, type TextPlace } from '../lib/log/copy'

const reportDelayMs = 50 // the browser reports a selection a moment after the key or the pointer

/**
 * The selected text of a log. Only rows in view are drawn, and the browser moves an end of a
 * selection to another row when its own is removed. So this class keeps both ends as the pointer
 * and the keys set them.
 */
export class TextSelection {
  private anchor: TextPlace | null = null
  private focus: TextPlace | null = null
  /** The pointer or a key is down: the person changes the selection, not the browser. */
  private held = false
  private releasing: ReturnType<typeof setTimeout> | undefined
  /** The selected lines when some of them are not drawn; else null. */
  beyond = $state.raw<{ from: number; to: number } | null>(null)

  constructor(private scroller: HTMLElement) {}

  /** Follows the selection of the page; returns a function that ends it. */
  watch(oncopy: (from: TextPlace, to: TextPlace) => void): () => void {
    const changed = () => this.held && this.take(getSelection())
    const hold = () => {
      clearTimeout(this.releasing)
      this.held = true
    }
    const release = () => {
      clearTimeout(this.releasing)
      this.releasing = setTimeout(() => (this.held = false), reportDelayMs)
    }
    const pressed = (e: PointerEvent) => {
      if ((e.target as Element).closest('[data-keeps-selection]')) return
      if (!e.shiftKey) this.clear()
      hold()
    }
    const key = (e: KeyboardEvent) => {
      if (e.key === 'Escape') this.clear()
      else if (e.shiftKey) hold()
    }
    const copy = (e: ClipboardEvent) => {
      const ends = this.ends()
      if (!ends || !this.beyond) return // the browser has all of it
      e.preventDefault()
      oncopy(...ends)
    }
    const ctl = new AbortController()
    const { signal } = ctl
    document.addEventListener('selectionchange', changed, { signal })
    document.addEventListener('pointerdown', pressed, { signal })
    document.addEventListener('pointerup', release, { signal })
    document.addEventListener('pointercancel', release, { signal })
    document.addEventListener('keydown', key, { signal })
    document.addEventListener('keyup', release, { signal })
    document.addEventListener('copy', copy, { signal })
    return () => {
      clearTimeout(this.releasing)
      ctl.abort()
    }
  }

  /** Selects everything up to a line. */
  all(last: number) {
    getSelection()?.selectAllChildren(this.scroller)
    this.anchor = { n: 1, offset: 0 }
    this.focus = { n: last, offset: Infinity }
    this.beyond = { from: 1, to: last }
  }

  clear() {
    this.anchor = this.focus = this.beyond = null
  }

  /** The two ends, the earlier one first. */
  ends(): [TextPlace, TextPlace] | null {
    return this.anchor && this.focus ? ordered(this.anchor, this.focus) : null
  }

  /** Finds out again whether all selected lines are drawn, as after scrolling. */
  update() {
    const ends = this.ends()
    if (!ends) return
    const [from, to] = [ends[0].n, ends[1].n]
    this.beyond = from < to && !this.drawn(from, to) ? { from, to } : null
  }

  private take(s: Selection | null) {
    if (!s || s.rangeCount === 0) return
    const anchor = this.place(s.anchorNode, s.anchorOffset)
    const focus = this.place(s.focusNode, s.focusOffset)
    if (anchor && (!this.anchor || this.anchor.n === anchor.n)) this.anchor = anchor
    if (focus) this.focus = focus
    if (anchor || focus) this.update()
  }

  private drawn(from: number, to: number): boolean {
    const sel = getSelection()
    if (!this.place(sel?.anchorNode ?? null, 0) || !this.place(sel?.focusNode ?? null, 0)) return false
    let rows = 0
    for (const row of this.scroller.querySelectorAll<HTMLElement>('[data-n]')) {
      const n = Number(row.dataset.n)
      if (n >= from && n <= to) rows++
    }
    return rows === to - from + 1
  }

  private place(node: Node | null, offset: number): TextPlace | null {
    const row = (node instanceof Element ? node : node?.parentElement)?.closest<HTMLElement>('[data-n]')
    const text = row?.querySelector('.log-text')
    if (!node || !row || !text || !this.scroller.contains(row)) return null
    const n = Number(row.dataset.n)
    if (!text.contains(node)) return { n, offset: node.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING ? 0 : Infinity }
    const before = document.createRange()
    before.setStart(text, 0)
    before.setEnd(node, offset)
    return { n, offset: before.toString().length }
  }
}
