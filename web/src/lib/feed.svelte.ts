import { apiURL, type ApiError } from './api/client'
import { follow } from './api/events'
import type { Run } from './api/types'
import { app } from './app.svelte'

/** Follows the changes of all runs; answers a function that ends it. */
export function followAll(onrun: (run: Run) => void, onopen: () => void, onerror?: (e: ApiError) => void): () => void {
  const connection = app.connection()
  const stream = follow(apiURL('stream'), {
    onEvent: (e) => {
      if (e.type === 'run') onrun(JSON.parse(e.data) as Run)
    },
    onState: (open) => {
      connection.set(open)
      if (open) onopen()
    },
    onError: onerror,
  })
  return () => {
    stream.stop()
    connection.release()
  }
}

/**
 * Work that is asked for often and done at most once per pause: at once when it was quiet,
 * else at the end of the pause. So a thousand runs that end together cost one look.
 */
export function paced(ms: number, work: () => void): { ask(): void; stop(): void } {
  let timer: ReturnType<typeof setTimeout> | undefined
  let again = false
  const ask = () => {
    if (timer !== undefined) {
      again = true
      return
    }
    again = false
    work()
    timer = setTimeout(() => {
      timer = undefined
      if (again) ask()
    }, ms)
  }
  return { ask, stop: () => clearTimeout(timer) }
}
