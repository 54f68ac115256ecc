import { inShownOrder } from './overview'

/** Rows keep their places for this long after the pointer moved over them. */
const holdMs = 5000

/** A list whose rows do not move while the pointer moves over them. New rows wait until it rests or leaves. */
export class HeldRows<T extends { id: string }> {
  private held = $state.raw<T[] | null>(null)
  private timer: ReturnType<typeof setTimeout> | undefined
  /** The rows as they were when the list was held, in the same order as in rows. */
  readonly asHeld: T[] = $derived.by(() => this.held ?? this.now())
  readonly rows: T[] = $derived.by(() => inShownOrder(this.asHeld, this.now()))
  /** The number of new rows that are not shown yet. */
  readonly waiting: number = $derived.by(() => {
    if (!this.held) return 0
    const shown = new Set(this.held.map((r) => r.id))
    return this.now().filter((r) => !shown.has(r.id)).length
  })

  constructor(private now: () => T[]) {}

  /** Event handlers for the element around the rows. */
  readonly hold = {
    onpointermove: (e: PointerEvent) => {
      if (e.pointerType !== 'mouse') return
      this.held ??= this.now()
      clearTimeout(this.timer)
      this.timer = setTimeout(() => this.release(), holdMs)
    },
    onpointerleave: () => this.release(),
  }

  release() {
    clearTimeout(this.timer)
    this.held = null
  }

  close() {
    clearTimeout(this.timer)
  }
}
