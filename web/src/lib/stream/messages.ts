import type { ServerEvent } from './parser'
import type { Subscription } from './hub'
import type { StreamInfo, StreamState } from './stream'

/** What a page tells the worker that follows streams for all pages of this browser. */
export type ToWorker =
  | { do: 'subscribe'; id: number; sub: Subscription }
  | { do: 'seen'; id: number; at: number }
  | { do: 'unsubscribe'; id: number }
  | { do: 'check' }
  /** Sent now and then: a page that is gone without a word is silent. */
  | { do: 'alive' }
  | { do: 'leave' }

/** What the worker tells a page. */
export type FromWorker =
  | { kind: 'hello' }
  /** The page was silent for so long that it was forgotten: subscribe again. */
  | { kind: 'forgotten' }
  | { kind: 'event'; id: number; event: ServerEvent }
  | { kind: 'state'; id: number; state: StreamState; info: StreamInfo }

/** How often a page says that it is there. Browsers slow the timers of hidden pages to one a minute. */
export const aliveEveryMs = 30_000
/** A page that said nothing for so long is gone. */
export const goneAfterMs = 200_000
