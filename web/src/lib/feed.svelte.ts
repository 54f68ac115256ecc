import { ApiError, apiURL, loginRequired } from './api/client'
import type { Run } from './api/types'
import { app } from './app.svelte'
import { follower } from './stream/follow'
import type { ServerEvent } from './stream/parser'
import type { StreamInfo, StreamState } from './stream/stream'

export interface Following {
  onEvent(e: ServerEvent): void
  onState?(state: StreamState, info: StreamInfo): void
  /** The server refused the stream. There is no other try. */
  onError?(err: ApiError): void
}

/** Follows a stream and records whether it is connected; returns a function that ends it. */
export function follow(url: string, shared: boolean, f: Following): () => void {
  const connection = app.connection()
  const stop = follower.follow(url, shared, {
    onEvent: (e) => f.onEvent(e),
    onState: (state, info) => {
      if (state !== 'opening') connection.set(state !== 'reconnecting')
      if (info.refusal?.type === 'urn:stint:unauthorized') loginRequired()
      f.onState?.(state, info)
      if (state === 'refused') f.onError?.(new ApiError(info.refusal?.status ?? 0, info.refusal?.detail ?? ''))
    },
  })
  return () => {
    stop()
    connection.release()
  }
}

/** How often a page reloads if the server refuses the stream of all runs. */
const pollMs = 15_000

/**
 * Follows the changes of all runs; returns a function that ends it. onopen is called whenever
 * changes may have been missed, and at an interval if there is no stream.
 */
export function followAll(onrun: (run: Run) => void, onopen: () => void): () => void {
  let polling: ReturnType<typeof setInterval> | undefined
  const stop = follow(apiURL('stream'), true, {
    onEvent: (e) => {
      if (e.type === 'run') onrun(JSON.parse(e.data) as Run)
    },
    onState: (state) => {
      if (state === 'live') onopen()
    },
    onError: (err) => {
      if (err.status !== 401) polling = setInterval(onopen, pollMs)
    },
  })
  return () => {
    clearInterval(polling)
    stop()
  }
}
