import { ApiError } from './api/client'

/**
 * Something that is loaded and may be loaded again. While it reloads, and when that
 * fails, the old value stays.
 */
export class Loaded<T> {
  value = $state.raw<T | null>(null)
  error = $state.raw<ApiError | null>(null)
  /** What must be said instead of the value: there is none, or it may not be seen any more. */
  readonly trouble = $derived(this.error && (this.value === null || !this.error.temporary) ? this.error : null)
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
      this.error = err instanceof ApiError ? err : new ApiError(0, String(err))
    }
  }

  close() {
    this.ctl?.abort()
  }
}

/** Calls work every so often while the page is seen; answers a function that ends it. */
export function every(ms: number, work: () => void): () => void {
  const timer = setInterval(() => {
    if (!document.hidden) work()
  }, ms)
  return () => clearInterval(timer)
}
