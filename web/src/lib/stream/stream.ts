import { EventParser, type ServerEvent } from './parser'

/**
 * waiting: not followed now, because other streams of this browser come first.
 * opening: the server has not answered yet. live: events arrive.
 * reconnecting: the connection broke; events are missing and will be sent.
 * ended: the server sent the event "end". refused: the server will not send this stream.
 */
export type StreamState = 'waiting' | 'opening' | 'live' | 'reconnecting' | 'ended' | 'refused'

/** Why the server refused a stream, as in its problem. */
export interface Refusal {
  status: number
  type: string
  detail: string
}

export interface StreamInfo {
  /** The stream continues after the last received event; false: events may be missing. */
  resumed?: boolean
  refusal?: Refusal
}

export interface StreamHandler {
  onEvent(e: ServerEvent): void
  onState(state: StreamState, info: StreamInfo): void
}

export interface Source {
  url: string
  /** Sent as a bearer token; empty where a cookie carries the login. */
  token: string
}

/** The server sends a comment every 15 s, so a connection that is silent for longer is dead. */
export const silenceMs = 40_000
/** As silenceMs, when there is a sign that the connection may have broken. */
const checkedSilenceMs = 20_000
/** After a connection that was open for this time, the next pause is short again. */
const backoffResetAfterMs = 10_000

/** The pause before try n (0, 1, 2 …): doubling from 0.5 s to 15 s, with jitter. */
export function backoff(n: number, random = Math.random()): number {
  return Math.min(15_000, 500 * 2 ** n) * (0.75 + random / 2)
}

/**
 * Follows a server-sent event stream until stop() or its end, and resumes it after the last
 * event when the connection breaks. EventSource cannot send a token, does not notice a dead
 * connection, and gives up on a 503.
 */
export class Stream {
  private parser: EventParser
  private connection = new AbortController()
  private lastReadAt = 0
  private tries = 0
  private stopped = false
  private wake: (() => void) | null = null

  /** Starts to follow, after the event with the id `place` if it is not empty. */
  constructor(
    private source: Source,
    private handler: StreamHandler,
    place = '',
  ) {
    this.parser = new EventParser(place)
    void this.run()
  }

  /** The id of the last event that was received. */
  get place(): string {
    return this.parser.lastId
  }

  stop() {
    this.stopped = true
    this.connection.abort()
    this.wake?.()
  }

  /** Reconnects at once if the stream is broken or silent: the network or the computer was away. */
  check() {
    this.tries = 0
    if (this.wake) this.wake()
    else if (Date.now() - this.lastReadAt > checkedSilenceMs) this.connection.abort()
  }

  private async run() {
    this.handler.onState('opening', {})
    while (!this.stopped) {
      const began = Date.now()
      const end = await this.connect()
      if (this.stopped) return
      if (end === 'ended') return this.finish('ended', {})
      if (end && end.status === 400 && this.place !== '') {
        this.parser = new EventParser() // the server does not know the place: start without one
        continue
      }
      if (end && !end.temporary) return this.finish('refused', { refusal: end })
      if (Date.now() - began >= backoffResetAfterMs) this.tries = 0
      this.parser.reset()
      this.handler.onState('reconnecting', {})
      await this.pause(Math.max(backoff(this.tries++), end?.retryAfterMs ?? 0))
    }
  }

  private finish(state: StreamState, info: StreamInfo) {
    this.stopped = true
    this.handler.onState(state, info)
  }

  /** Reads one connection to its end; returns how the stream ended, or null when the connection broke. */
  private async connect(): Promise<'ended' | Refused | null> {
    const connection = (this.connection = new AbortController())
    this.lastReadAt = Date.now()
    const watchdog = setInterval(() => {
      if (Date.now() - this.lastReadAt >= silenceMs) connection.abort()
    }, 5000)
    try {
      const headers: Record<string, string> = { Accept: 'text/event-stream' }
      if (this.source.token) headers.Authorization = 'Bearer ' + this.source.token
      const resumed = this.place !== ''
      if (resumed) headers['Last-Event-ID'] = this.place
      const res = await fetch(this.source.url, { headers, cache: 'no-store', signal: connection.signal })
      if (!res.ok || !res.body) return await refused(res)
      this.lastReadAt = Date.now()
      this.handler.onState('live', { resumed })
      return await this.read(res.body)
    } catch {
      return null // the network, or the watchdog
    } finally {
      clearInterval(watchdog)
      connection.abort() // frees the connection in every case
    }
  }

  private async read(body: ReadableStream<Uint8Array>): Promise<'ended' | null> {
    const reader = body.pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return null
      this.lastReadAt = Date.now()
      for (const e of this.parser.push(value)) {
        if (this.stopped) return null
        try {
          this.handler.onEvent(e)
        } catch (err) {
          console.error('Stint: an event of a live stream could not be processed', err) // continue with the next one
        }
        if (e.type === 'end') return 'ended'
      }
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        this.wake = null
        resolve()
      }
      const timer = setTimeout(done, ms)
      this.wake = done
    })
  }
}

interface Refused extends Refusal {
  /** The same request may succeed later. */
  temporary: boolean
  retryAfterMs: number
}

async function refused(res: Response): Promise<Refused> {
  let problem: { type?: string; title?: string; detail?: string } = {}
  try {
    problem = ((await res.json()) as typeof problem | null) ?? {}
  } catch {
    // not an answer of Stint
  }
  const seconds = Number(res.headers.get('Retry-After') ?? 0)
  return {
    status: res.status,
    type: problem.type ?? '',
    detail: problem.detail || problem.title || `HTTP ${res.status}`,
    temporary: res.ok || res.status === 408 || res.status === 429 || res.status >= 500,
    retryAfterMs: Number.isFinite(seconds) ? Math.min(60_000, seconds * 1000) : 0,
  }
}
