import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
  type VirtualItem,
} from '@tanstack/virtual-core'

/** Chunks of rows, of which only those in view are drawn. */
export class Chunks {
  items = $state.raw<VirtualItem[]>([])
  height = $state(0)
  private v: Virtualizer<HTMLElement, HTMLElement>
  private unmount: () => void

  constructor(scroller: HTMLElement, count: number, estimate: (chunk: number) => number) {
    this.v = new Virtualizer<HTMLElement, HTMLElement>({
      count,
      getScrollElement: () => scroller,
      estimateSize: estimate,
      overscan: 1,
      scrollToFn: elementScroll,
      observeElementRect,
      observeElementOffset,
      onChange: () => this.read(),
    })
    this.unmount = this.v._didMount()
    this.v._willUpdate()
    this.read()
  }

  private read() {
    this.items = this.v.getVirtualItems()
    this.height = this.v.getTotalSize()
  }

  setCount(count: number) {
    if (count !== this.v.options.count) {
      this.v.setOptions({ ...this.v.options, count })
      this.v._willUpdate()
    }
    this.read()
  }

  /** Measures all heights again, as after a change of wrapping. */
  remeasure() {
    this.v.measure()
    this.read()
  }

  measure(node: HTMLElement) {
    this.v.measureElement(node)
    return { destroy: () => this.v.measureElement(null) }
  }

  topOf(chunk: number): number {
    return this.v.getOffsetForIndex(chunk, 'start')?.[0] ?? 0
  }

  close() {
    this.unmount()
  }
}
