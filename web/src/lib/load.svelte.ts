import { ApiError } from './api/client'

/** A value that is loaded, and can be loaded again. While it reloads, and when that fails, the old value stays. */
export class Loaded<T> {
  value = $state.raw<T | null>(null)
  error = $state.raw<ApiError | null>(null)
  /** The error to show instead of the value: there is none, or access to it was lost. */
  readonly failure = $derived(this.error && (this.value === null || !this.error.temporary) ? this.error : null)
  private ctl: AbortController | null = null

  constructor(private get: (signal: AbortSignal) => Promise<T>) {}

  async load(): Promise<void> {
    this.ctl?.abort()
    const ctl = new AbortController()
    this.ctl = ctl
    try {
      const value = await this.get(ctl.signal)
      if (ctl.signal.aborted) return
      this.value = value
      this.error = null
    } catch (err) {
      if (ctl.signal.aborted) return
      this.error = ApiError.of(err)
    }
  }

  close() {
    this.ctl?.abort()
  }
}

/** Calls work at an interval while the page is visible; returns a function that ends it. */
export function every(ms: number, work: () => void): () => void {
  const timer = setInterval(() => {
    if (!document.hidden) work()
  }, ms)
  return () => clearInterval(timer)
}
