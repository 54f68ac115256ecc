import { expect, test, vi } from 'vitest'
import { Follower } from './follow'
import { Hub, type OpenStream } from './hub'
import type { FromWorker, ToWorker } from './messages'
import { pageTimeoutMs } from './messages'
import { Pages } from './pages'
import type { Source, StreamHandler, StreamState } from './stream'

/** Streams that a test feeds: each URL has a list of events, which a stream sends from its place on. */
class FakeStreams {
  open: FakeStream[] = []
  most = 0
  begin = (source: Source, handler: StreamHandler, place: string): OpenStream => {
    const s = new FakeStream(this, source, handler, place)
    this.open.push(s)
    this.most = Math.max(this.most, this.open.length)
    handler.onState('live', { resumed: place !== '' })
    return s
  }
  of = (url: string) => this.open.filter((s) => s.source.url === url)
}

class FakeStream implements OpenStream {
  constructor(
    private all: FakeStreams,
    readonly source: Source,
    readonly handler: StreamHandler,
    public place: string,
  ) {}
  send(id: number) {
    this.place = String(id)
    this.handler.onEvent({ type: 'x', data: String(id), id: String(id) })
  }
  stop() {
    this.all.open = this.all.open.filter((s) => s !== this)
  }
  check() {}
}

/** A browser with several pages and one worker; time is a number. */
class Browser {
  streams = new FakeStreams()
  pages = new Pages(new Hub(this.streams.begin, 2))
  now = 1000
  private connected = 0

  page(worker = true) {
    return new Follower((receive: (m: FromWorker) => void, failed) => {
      if (!worker) {
        queueMicrotask(failed)
        return () => {}
      }
      const take = this.pages.connect(++this.connected, receive, this.now)
      return (m: ToWorker) => take(m, this.now)
    }, () => ++this.now)
  }
}

function watch(page: Follower, url: string, shared = false) {
  const got = { events: [] as string[], states: [] as StreamState[], stop: () => {} }
  got.stop = page.follow(url, shared, { onEvent: (e) => got.events.push(e.data), onState: (s) => got.states.push(s) })
  return got
}

test('pages share one stream of all runs, and it ends with the last of them', () => {
  const b = new Browser()
  const seen = Array.from({ length: 8 }, () => watch(b.page(), 'all', true))
  expect(b.streams.open).toHaveLength(1)
  b.streams.open[0]!.send(1)
  for (const s of seen) expect(s).toMatchObject({ events: ['1'], states: ['live'] })
  seen.slice(1).forEach((s) => s.stop())
  expect(b.streams.open).toHaveLength(1)
  seen[0]!.stop()
  expect(b.streams.open).toHaveLength(0)
})

test('of many runs the two that were visible last are followed; the others wait', () => {
  const b = new Browser()
  const pages = Array.from({ length: 8 }, () => b.page())
  const runs = pages.map((p, i) => watch(p, 'run' + i))
  expect(b.streams.most).toBe(2)
  expect(b.streams.open.map((s) => s.source.url).sort()).toEqual(['run6', 'run7'])
  expect(runs[0]!.states.at(-1)).toBe('waiting')
  pages[0]!.visible()
  expect(b.streams.open.map((s) => s.source.url).sort()).toEqual(['run0', 'run7'])
  expect(runs[0]!.states.at(-1)).toBe('live')
  expect(runs[6]!.states.at(-1)).toBe('waiting')
})

test('a run that waited gets each event once', () => {
  const b = new Browser()
  const pages = [b.page(), b.page(), b.page()]
  const runs = pages.map((p, i) => watch(p, 'run' + i))
  pages[0]!.visible()
  b.streams.of('run0')[0]!.send(1)
  pages[1]!.visible()
  pages[2]!.visible()
  expect(b.streams.of('run0')).toHaveLength(0)
  pages[0]!.visible()
  expect(b.streams.of('run0')[0]!.place).toBe('1')
  b.streams.of('run0')[0]!.send(2)
  expect(runs[0]!.events).toEqual(['1', '2'])
})

test('a hidden page follows nothing and continues where it was', () => {
  const b = new Browser()
  const page = b.page()
  const run = watch(page, 'run')
  b.streams.open[0]!.send(1)
  page.leave()
  expect(b.streams.open).toHaveLength(0)
  page.visible()
  expect(b.streams.open[0]!.place).toBe('1')
  b.streams.open[0]!.send(2)
  expect(run.events).toEqual(['1', '2'])
})

test('a page that was forgotten follows again, without a double', () => {
  const b = new Browser()
  const page = b.page()
  const [run, other] = [watch(page, 'run'), watch(page, 'other')]
  b.streams.of('run')[0]!.send(1)
  const before = b.streams.of('run')[0]!
  b.now += pageTimeoutMs + 1
  b.pages.sweep(b.now)
  expect(b.streams.open).toHaveLength(0)
  page.alive()
  expect(b.streams.open).toHaveLength(2)
  before.send(2) // sent before the page was forgotten
  b.streams.of('run')[0]!.send(2)
  b.streams.of('other')[0]!.send(5)
  expect(run.events).toEqual(['1', '2'])
  expect(other.events).toEqual(['5'])
})

test('an ended stream makes room for the next', () => {
  const b = new Browser()
  const pages = [b.page(), b.page(), b.page()]
  const runs = pages.map((p, i) => watch(p, 'run' + i))
  expect(runs[0]!.states.at(-1)).toBe('waiting')
  const ending = b.streams.of('run1')[0]!
  ending.handler.onState('ended', {})
  expect(runs[0]!.states.at(-1)).toBe('live')
  expect(runs[1]!.states.at(-1)).toBe('ended')
})

test('without a worker a page follows alone', async () => {
  const open = new Set<string>()
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
    open.add(url)
    init.signal?.addEventListener('abort', () => open.delete(url))
    return new Promise(() => {})
  })
  const page = new Browser().page(false)
  const stops = ['a', 'b', 'c'].map((url) => watch(page, url).stop)
  await Promise.resolve()
  expect([...open].sort()).toEqual(['b', 'c'])
  stops.forEach((stop) => stop())
  expect(open.size).toBe(0)
  vi.unstubAllGlobals()
})
