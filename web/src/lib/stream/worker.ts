// The shared worker that follows live streams for all pages of this browser on one server.
import { Hub } from './hub'
import type { ToWorker } from './messages'
import { Pages } from './pages'
import { Stream } from './stream'

const scope = globalThis as unknown as { onconnect: ((e: MessageEvent) => void) | null }
const pages = new Pages(new Hub((source, handler, place) => new Stream(source, handler, place)))
let connected = 0

scope.onconnect = (e) => {
  const port = e.ports[0]
  if (!port) return
  const take = pages.connect(++connected, (message) => port.postMessage(message), Date.now())
  port.onmessage = (m: MessageEvent<ToWorker>) => take(m.data, Date.now())
}
setInterval(() => pages.sweep(Date.now()), 60_000)
