import type { Source, StreamHandler, StreamInfo, StreamState } from './stream'

/** A stream that a page follows. */
export interface Subscription extends Source {
  /** All subscribers of the same source share one connection; each receives the events from then on. */
  shared: boolean
  /** The id of the last event that the subscriber has. */
  place: string
  /** When the subscriber was last visible, in ms since 1970: the latest are followed. */
  visibleAt: number
}

/** What the hub needs of a Stream. */
export interface OpenStream {
  readonly place: string
  stop(): void
  check(): void
}

export type Open = (source: Source, handler: StreamHandler, place: string) => OpenStream

interface Single extends Subscription {
  handler: StreamHandler
  stream: OpenStream | null
  state: StreamState | null // the last state that was reported to the subscriber
  finished: boolean
}

interface Shared {
  stream: OpenStream
  state: StreamState
  info: StreamInfo
  members: Map<string, StreamHandler>
}

/**
 * Follows streams for several pages over few connections: a browser has six per server, and
 * every request needs one. Shared streams have one connection per source. Of the others the
 * `most` that were visible last are followed; the rest wait, with their places kept.
 */
export class Hub {
  private singles = new Map<string, Single>()
  private shared = new Map<string, Shared>()

  constructor(
    private open: Open,
    private most = 2,
  ) {}

  /** Follows a stream under a key of the subscriber's choice. */
  subscribe(key: string, sub: Subscription, handler: StreamHandler) {
    this.unsubscribe(key)
    if (sub.shared) return this.join(key, sub, handler)
    this.singles.set(key, { ...sub, handler, stream: null, state: null, finished: false })
    this.arrange()
  }

  /** Reports that a subscriber is visible now. */
  visible(key: string, at: number) {
    const single = this.singles.get(key)
    if (!single) return
    single.visibleAt = at
    this.arrange()
  }

  unsubscribe(key: string) {
    const single = this.singles.get(key)
    if (single) {
      this.singles.delete(key)
      single.stream?.stop()
      this.arrange()
    }
    for (const [source, shared] of this.shared) {
      if (!shared.members.delete(key) || shared.members.size > 0) continue
      this.shared.delete(source)
      shared.stream.stop()
    }
  }

  /** The network or the computer was away: checks all connections. */
  check() {
    for (const single of this.singles.values()) single.stream?.check()
    for (const shared of this.shared.values()) shared.stream.check()
  }

  private arrange() {
    const wanted = [...this.singles.values()].filter((s) => !s.finished).sort((a, b) => b.visibleAt - a.visibleAt)
    for (const single of wanted.slice(this.most)) {
      if (single.stream) {
        single.place = single.stream.place
        single.stream.stop()
        single.stream = null
      }
      this.report(single, 'waiting', {})
    }
    for (const single of wanted.slice(0, this.most)) {
      if (!single.stream) this.begin(single)
    }
  }

  private begin(single: Single) {
    single.stream = this.open(
      single,
      {
        onEvent: (e) => single.handler.onEvent(e),
        onState: (state, info) => {
          this.report(single, state, info)
          if (state !== 'ended' && state !== 'refused') return
          single.finished = true
          this.arrange()
        },
      },
      single.place,
    )
  }

  private report(single: Single, state: StreamState, info: StreamInfo) {
    if (state === 'waiting' && single.state === 'waiting') return
    single.state = state
    single.handler.onState(state, info)
  }

  private join(key: string, sub: Subscription, handler: StreamHandler) {
    const source = sub.token + '\n' + sub.url
    const there = this.shared.get(source)
    if (there && there.state !== 'refused' && there.state !== 'ended') {
      there.members.set(key, handler)
      handler.onState(there.state, there.state === 'live' ? { resumed: false } : there.info)
      return
    }
    const made: Shared = { stream: null as unknown as OpenStream, state: 'opening', info: {}, members: new Map([[key, handler]]) }
    this.shared.set(source, made)
    made.stream = this.open(
      sub,
      {
        onEvent: (e) => made.members.forEach((m) => m.onEvent(e)),
        onState: (state, info) => {
          made.state = state
          made.info = info
          made.members.forEach((m) => m.onState(state, info))
        },
      },
      '',
    )
  }
}
