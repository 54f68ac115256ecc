import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { backoff, silenceMs, Stream, type StreamState } from './stream'

/** A server whose answers a test controls. */
class FakeServer {
  /** One for each request: its headers, and functions that feed or end its answer. */
  requests: { headers: Headers; send(text: string): void; end(): void; gone: boolean }[] = []
  refuse: (() => Response) | null = null

  fetch = (_url: string, init: RequestInit): Promise<Response> => {
    const encoder = new TextEncoder()
    let feed!: ReadableStreamDefaultController<Uint8Array>
    const body = new ReadableStream<Uint8Array>({ start: (c) => void (feed = c) })
    const request = {
      headers: new Headers(init.headers),
      send: (text: string) => feed.enqueue(encoder.encode(text)),
      end: () => feed.close(),
      gone: false,
    }
    init.signal?.addEventListener('abort', () => {
      request.gone = true
      try {
        feed.error(new DOMException('aborted', 'AbortError'))
      } catch {
        // it has ended
      }
    })
    this.requests.push(request)
    return Promise.resolve(this.refuse ? this.refuse() : new Response(body))
  }
}

let server: FakeServer
let events: string[]
let states: StreamState[]
let resumed: (boolean | undefined)[]
let stream: Stream
const flush = () => vi.advanceTimersByTimeAsync(0)

function begin(onEvent: (data: string) => void = (d) => events.push(d), place = '') {
  stream = new Stream({ url: 'http://s/stream', token: 'secret' }, {
    onEvent: (e) => onEvent(e.data),
    onState: (state, info) => {
      states.push(state)
      if (state === 'live') resumed.push(info.resumed)
    },
  }, place)
}

beforeEach(() => {
  vi.useFakeTimers()
  server = new FakeServer()
  vi.stubGlobal('fetch', server.fetch)
  events = []
  states = []
  resumed = []
})
afterEach(() => {
  stream.stop()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
  vi.useRealTimers()
})

test('a broken connection is resumed after the last event', async () => {
  begin()
  await flush()
  server.requests[0]!.send('id: 7\ndata: a\n\nid: 8\ndata: ha')
  await flush()
  server.requests[0]!.end()
  await vi.advanceTimersByTimeAsync(1000)
  server.requests[1]!.send('id: 8\ndata: b\n\n')
  await flush()
  expect(events).toEqual(['a', 'b'])
  expect(server.requests[1]!.headers.get('Last-Event-ID')).toBe('7')
  expect(server.requests[1]!.headers.get('Authorization')).toBe('Bearer secret')
  expect(states).toEqual(['opening', 'live', 'reconnecting', 'live'])
  expect(resumed).toEqual([false, true])
})

test('a connection that is silent for too long is dead, one with comments is not', async () => {
  begin()
  await flush()
  for (let i = 0; i < 8; i++) {
    await vi.advanceTimersByTimeAsync(15_000)
    server.requests[0]!.send(': still here\n\n')
  }
  await flush()
  expect(server.requests).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(silenceMs + 6000)
  expect(server.requests[0]!.gone).toBe(true)
  expect(server.requests).toHaveLength(2)
})

test('after a sleep a silent connection is replaced at once', async () => {
  begin()
  await flush()
  await vi.advanceTimersByTimeAsync(14_000)
  stream.check()
  await flush()
  expect(server.requests[0]!.gone).toBe(false)
  await vi.advanceTimersByTimeAsync(7000)
  stream.check()
  await vi.advanceTimersByTimeAsync(1000)
  expect(server.requests).toHaveLength(2)
})

test('a pause ends at once when the network is back', async () => {
  server.refuse = () => new Response('', { status: 503, headers: { 'Retry-After': '50' } })
  begin()
  await vi.advanceTimersByTimeAsync(20_000)
  expect(server.requests).toHaveLength(1)
  server.refuse = null
  stream.check()
  await flush()
  expect(server.requests).toHaveLength(2)
  expect(states.at(-1)).toBe('live')
})

test('a place that the server does not know is dropped', async () => {
  server.refuse = () => new Response('{"type":"urn:stint:invalid","detail":"no"}', { status: 400 })
  begin(undefined, '99')
  server.refuse = null
  await flush()
  expect(server.requests).toHaveLength(2)
  expect(server.requests[1]!.headers.get('Last-Event-ID')).toBeNull()
  expect(states).toEqual(['opening', 'live'])
  expect(resumed).toEqual([false])
})

test('a refusal ends the stream, a passing one does not', async () => {
  server.refuse = () => new Response('', { status: 502 })
  begin()
  await vi.advanceTimersByTimeAsync(3000)
  server.refuse = () => new Response('{"type":"urn:stint:forbidden","detail":"no"}', { status: 403 })
  await vi.advanceTimersByTimeAsync(60_000)
  expect(states.at(-1)).toBe('refused')
  const n = server.requests.length
  await vi.advanceTimersByTimeAsync(600_000)
  expect(server.requests).toHaveLength(n)
})

test('a server that answers and closes is tried less and less often', async () => {
  const fetch = server.fetch
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    const res = await fetch(url, init)
    server.requests.at(-1)!.send('data: x\n\n')
    server.requests.at(-1)!.end()
    return res
  })
  begin()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(server.requests.length).toBeLessThan(12)
})

test('an event that cannot be processed does not stop the next ones', async () => {
  const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
  begin((d) => events.push((JSON.parse(d) as { a: string }).a))
  await flush()
  server.requests[0]!.send('data: {"a":"1"}\n\ndata: {\n\ndata: {"a":"2"}\n\n')
  await flush()
  expect(events).toEqual(['1', '2'])
  expect(logged).toHaveBeenCalledTimes(1)
  expect(server.requests).toHaveLength(1)
})

test('the event "end" ends the stream and frees the connection', async () => {
  begin()
  await flush()
  server.requests[0]!.send('event: end\ndata: {}\n\ndata: late\n\n')
  await vi.advanceTimersByTimeAsync(60_000)
  expect(events).toEqual(['{}'])
  expect(states.at(-1)).toBe('ended')
  expect(server.requests[0]!.gone).toBe(true)
  expect(server.requests).toHaveLength(1)
})

test('a stopped stream frees the connection and reports nothing more', async () => {
  begin()
  await flush()
  server.requests[0]!.send('data: a\n\n')
  await flush()
  stream.stop()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(server.requests[0]!.gone).toBe(true)
  expect(server.requests).toHaveLength(1)
  expect(states).toEqual(['opening', 'live'])
})

test('the pause grows to its bound', () => {
  expect(backoff(0, 0.5)).toBe(500)
  expect(backoff(3, 0.5)).toBe(4000)
  expect(backoff(50, 0.5)).toBe(15_000)
  expect(backoff(2, 0)).toBe(1500)
})
