// Follows live streams for this page: through a worker that all pages of the browser share, or
// without one if the browser does not support that.
import { token } from '../api/client'
import { Hub } from './hub'
import { pageReportIntervalMs, type FromWorker, type ToWorker } from './messages'
import { Pages } from './pages'
import { Stream, type StreamHandler } from './stream'

/** A hidden page follows nothing after this time, until it is visible again. */
const hiddenMs = 10_000
/** A worker that sends nothing in this time does not work here. */
const workerStartTimeoutMs = 5000

interface Followed {
  id: number
  url: string
  shared: boolean
  place: string
  handler: StreamHandler
}

/** The streams of one page. */
export class Follower {
  private streams = new Map<number, Followed>()
  private next = 1
  private send: ((message: ToWorker) => void) | null = null
  private away = false // the page is hidden and follows nothing
  private link = 0 // number of the connection; messages of older ones are dropped

  constructor(
    private connectWorker: (receive: (m: FromWorker) => void, failed: () => void) => (message: ToWorker) => void,
    private now = () => Date.now(),
  ) {}

  /**
   * Follows the stream at a URL; returns a function that ends it. Shared streams use one
   * connection for all pages, and begin with the next event.
   */
  follow(url: string, shared: boolean, handler: StreamHandler): () => void {
    const f: Followed = { id: this.next++, url, shared, place: '', handler }
    this.streams.set(f.id, f)
    this.connect()
    if (!this.away) this.subscribe(f)
    return () => {
      this.streams.delete(f.id)
      if (!this.away) this.send?.({ do: 'unsubscribe', id: f.id })
    }
  }

  /** The page is hidden. */
  leave() {
    if (this.away) return
    this.away = true
    this.send?.({ do: 'leave' })
  }

  /** The page is visible, or has the focus: its streams come first. */
  visible() {
    if (!this.away) {
      for (const id of this.streams.keys()) this.send?.({ do: 'visible', id, at: this.now() })
      this.send?.({ do: 'check' })
      return
    }
    this.away = false
    this.renew()
  }

  /** The network is back. */
  check() {
    if (!this.away) this.send?.({ do: 'check' })
  }

  alive() {
    if (!this.away) this.send?.({ do: 'alive' })
  }

  private connect() {
    if (this.send) return
    const link = ++this.link
    let answered = false
    const toWorker = this.connectWorker(
      (m) => {
        answered = true
        if (link === this.link) this.receive(m)
      },
      () => {
        if (!answered && link === this.link) this.withoutWorker(toWorker)
      },
    )
    this.send = toWorker
  }

  /** Follows without a worker from now on. */
  private withoutWorker(worker: (message: ToWorker) => void) {
    worker({ do: 'leave' }) // in case it starts late
    const link = ++this.link
    const pages = new Pages(new Hub((source, handler, place) => new Stream(source, handler, place)))
    const take = pages.connect(1, (m) => link === this.link && this.receive(m), this.now())
    this.send = (m) => take(m, this.now())
    if (!this.away) this.renew()
  }

  /** Subscribes to everything again under new ids, so that late messages for the old ones are dropped. */
  private renew() {
    const all = [...this.streams.values()]
    this.streams.clear()
    for (const f of all) {
      this.send?.({ do: 'unsubscribe', id: f.id })
      f.id = this.next++
      this.streams.set(f.id, f)
      this.subscribe(f)
    }
  }

  private subscribe(f: Followed) {
    this.send?.({ do: 'subscribe', id: f.id, sub: { url: f.url, token: token(), shared: f.shared, place: f.place, visibleAt: this.now() } })
  }

  private receive(m: FromWorker) {
    if (this.away || m.kind === 'hello') return
    if (m.kind === 'forgotten') return this.renew()
    const f = this.streams.get(m.id)
    if (!f) return
    if (m.kind === 'state') {
      if (m.state === 'live' && !m.info.resumed) f.place = ''
      f.handler.onState(m.state, m.info)
      return
    }
    if (m.event.id) f.place = m.event.id
    f.handler.onEvent(m.event)
  }
}

function connectWorker(receive: (m: FromWorker) => void, failed: () => void): (message: ToWorker) => void {
  try {
    const worker = new SharedWorker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'stint streams' })
    worker.onerror = failed
    worker.port.onmessage = (e: MessageEvent<FromWorker>) => receive(e.data)
    setTimeout(failed, workerStartTimeoutMs)
    return (message) => worker.port.postMessage(message)
  } catch {
    queueMicrotask(failed) // the browser does not support shared workers
    return () => {}
  }
}

export const follower = new Follower(connectWorker)

/** Reports to the follower when this page becomes visible or hidden. Call it once. */
export function watchPage() {
  let leaving: ReturnType<typeof setTimeout> | undefined
  const visible = () => {
    clearTimeout(leaving)
    if (!document.hidden) follower.visible()
  }
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) return visible()
    clearTimeout(leaving)
    leaving = setTimeout(() => follower.leave(), hiddenMs)
  })
  addEventListener('focus', visible)
  addEventListener('online', () => follower.check())
  addEventListener('pagehide', () => follower.leave())
  addEventListener('pageshow', (e) => e.persisted && visible())
  setInterval(() => follower.alive(), pageReportIntervalMs)
  if (document.hidden) follower.leave()
}
