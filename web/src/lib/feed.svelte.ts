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
