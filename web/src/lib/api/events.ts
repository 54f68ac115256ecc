import { ApiError, call } from './client'

export interface ServerEvent {
  type: string
  data: string
  id: string
}

/**
 * Reads the text of a server-sent event stream, in pieces cut anywhere. Comments are
 * dropped; an event without data is not an event.
 */
export class EventParser {
  private rest = ''
  private type = ''
  private data: string[] = []
  private nextId = ''
  /** The id of the last whole event: where to resume. */
  lastId = ''

  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = []
    const lines = (this.rest + text).split('\n')
    this.rest = lines.pop() ?? ''
    for (const raw of lines) {
      const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw
      if (line === '') {
        this.lastId = this.nextId
        if (this.data.length > 0) {
          events.push({ type: this.type || 'message', data: this.data.join('\n'), id: this.lastId })
        }
        this.type = ''
        this.data = []
        continue
      }
      this.field(line)
    }
    return events
  }

  /** Forgets a half-read event, as after a broken connection; the place stays. */
  reset() {
    this.rest = ''
    this.type = ''
    this.data = []
    this.nextId = this.lastId
  }

  private field(line: string) {
    const colon = line.indexOf(':')
    if (colon === 0) return
    const name = colon < 0 ? line : line.slice(0, colon)
    let value = colon < 0 ? '' : line.slice(colon + 1)
    if (value.startsWith(' ')) value = value.slice(1)
    if (name === 'event') this.type = value
    else if (name === 'data') this.data.push(value)
    else if (name === 'id' && !value.includes('\0')) this.nextId = value
  }
}

/** The pause before try n (0, 1, 2 …): doubling from 0.5 s to 15 s, with jitter. */
export function backoff(n: number, random = Math.random()): number {
  return Math.min(15_000, 500 * 2 ** n) * (0.75 + random / 2)
}

export interface Following {
  onEvent(e: ServerEvent): void
  /** true while the stream is open, false while it is being reopened. */
  onState?(open: boolean): void
  /** The stream cannot be had (gone, forbidden): it will not be tried again. */
  onError?(err: ApiError): void
}

/**
 * Follows an event stream until stop() is called or an event of type "end" arrives, and
 * resumes after the last id when the connection breaks. EventSource would do, but it
 * cannot send a token and gives up for good on a 503.
 */
export function follow(url: string, f: Following): { stop(): void } {
  const ctl = new AbortController()
  void run(url, f, ctl)
  return { stop: () => ctl.abort() }
}

async function run(url: string, f: Following, ctl: AbortController) {
  const parser = new EventParser()
  for (let tries = 0; !ctl.signal.aborted; tries++) {
    try {
      const ended = await readOnce(url, f, ctl, parser, () => (tries = 0))
      if (ended) return
    } catch (err) {
      if (ctl.signal.aborted) return
      if (err instanceof ApiError && !err.temporary) {
        f.onError?.(err)
        return
      }
    }
    if (ctl.signal.aborted) return
    f.onState?.(false)
    parser.reset()
    await pause(backoff(tries), ctl.signal)
  }
}

async function readOnce(
  url: string,
  f: Following,
  ctl: AbortController,
  parser: EventParser,
  opened: () => void,
): Promise<boolean> {
  const headers: Record<string, string> = { Accept: 'text/event-stream' }
  if (parser.lastId) headers['Last-Event-ID'] = parser.lastId
  const res = await call(url, { headers, signal: ctl.signal })
  if (!res.body) return false
  f.onState?.(true)
  const reader = res.body.pipeThrough(new TextDecoderStream()).getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return false
    opened()
    for (const e of parser.push(value)) {
      if (ctl.signal.aborted) return true
      f.onEvent(e)
      if (e.type === 'end') {
        ctl.abort()
        return true
      }
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
