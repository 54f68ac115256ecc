import type { ServerEvent } from './parser'
import type { Subscription } from './hub'
import type { StreamInfo, StreamState } from './stream'

/** Messages of a page to the worker that follows streams for all pages of this browser. */
export type ToWorker =
  | { do: 'subscribe'; id: number; sub: Subscription }
  | { do: 'visible'; id: number; at: number }
  | { do: 'unsubscribe'; id: number }
  | { do: 'check' }
  /** Sent at an interval: a page that ended without a message sends no more. */
  | { do: 'alive' }
  | { do: 'leave' }

/** Messages of the worker to a page. */
export type FromWorker =
  | { kind: 'hello' }
  /** The page sent nothing for too long, and was removed: subscribe again. */
  | { kind: 'forgotten' }
  | { kind: 'event'; id: number; event: ServerEvent }
  | { kind: 'state'; id: number; state: StreamState; info: StreamInfo }

/** How often a page reports that it is open. Browsers slow the timers of hidden pages down to one a minute. */
export const pageReportIntervalMs = 30_000
/** A page that sent nothing for this time is gone. */
export const pageTimeoutMs = 200_000
