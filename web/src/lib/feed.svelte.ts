import { ApiError, apiURL, locked } from './api/client'
import type { Run } from './api/types'
import { app } from './app.svelte'
import { follower } from './stream/follow'
import type { ServerEvent } from './stream/parser'
import type { StreamInfo, StreamState } from './stream/stream'

export interface Following {
  onEvent(e: ServerEvent): void
  onState?(state: StreamState, info: StreamInfo): void
  /** The server refused the stream: it is not tried again. */
  onError?(err: ApiError): void
}

/** Follows a stream and tells the page whether it is connected; answers a function that ends it. */
export function follow(url: string, shared: boolean, f: Following): () => void {
  const connection = app.connection()
  const stop = follower.follow(url, shared, {
    onEvent: (e) => f.onEvent(e),
    onState: (state, info) => {
      if (state !== 'opening') connection.set(state !== 'reconnecting')
      if (info.refusal?.type === 'urn:stint:unauthorized') locked()
      f.onState?.(state, info)
      if (state === 'refused') f.onError?.(new ApiError(info.refusal?.status ?? 0, info.refusal?.detail ?? ''))
    },
  })
  return () => {
    stop()
    connection.release()
  }
}

/** How often a page looks by itself where the server refuses it the stream of all runs. */
const lookMs = 15_000

/**
 * Follows the changes of all runs; answers a function that ends it. onopen is called whenever
 * changes may have been missed before, and now and then where there is no stream.
 */
export function followAll(onrun: (run: Run) => void, onopen: () => void): () => void {
  let looking: ReturnType<typeof setInterval> | undefined
  const stop = follow(apiURL('stream'), true, {
    onEvent: (e) => {
      if (e.type === 'run') onrun(JSON.parse(e.data) as Run)
    },
    onState: (state) => {
      if (state === 'live') onopen()
    },
    onError: (err) => {
      if (err.status !== 401) looking = setInterval(onopen, lookMs)
    },
  })
  return () => {
    clearInterval(looking)
    stop()
  }
}
