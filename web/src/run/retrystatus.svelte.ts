import { untrack } from 'svelte'
import { api, optional } from '../lib/api/client'
import type { RetryOffer } from '../lib/api/types'
import { every } from '../lib/load.svelte'

const pollMs = 10_000
const firstPollDelaysMs = [1000, 2500, 5000] // an agent reports a moment after the end that it waits

/** Whether an agent waits for a retry of a run that ended. */
export class RetryStatus {
  /** null until the server has answered. */
  offer = $state.raw<RetryOffer | null>(null)

  /** Keeps the offer of a run up to date; returns a function that ends it. */
  follow(run: string): () => void {
    const ctl = new AbortController()
    const load = () =>
      void optional(api.retryOffer(run, ctl.signal)).then((got) => {
        if (got && !ctl.signal.aborted) this.offer = got
      })
    untrack(load)
    const first = firstPollDelaysMs.map((ms) => setTimeout(load, ms))
    const end = every(pollMs, load)
    return () => {
      first.forEach(clearTimeout)
      end()
      ctl.abort()
      this.offer = null
    }
  }
}
