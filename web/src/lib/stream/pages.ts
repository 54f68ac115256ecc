import type { Hub } from './hub'
import { pageTimeoutMs, type FromWorker, type ToWorker } from './messages'

interface Page {
  send(message: FromWorker): void
  lastMessageAt: number
  ids: Set<number>
}

/** The pages that a worker serves, and what each of them follows. */
export class Pages {
  private pages = new Map<number, Page>()

  constructor(private hub: Hub) {}

  /** A page opened a connection; returns the receiver of its messages. */
  connect(number: number, send: (message: FromWorker) => void, now: number): (message: ToWorker, now: number) => void {
    const add = (at: number) => {
      const page: Page = { send, lastMessageAt: at, ids: new Set() }
      this.pages.set(number, page)
      return page
    }
    add(now)
    send({ kind: 'hello' })
    return (message, at) => {
      const known = this.pages.get(number)
      if (message.do === 'leave') return this.forget(number)
      if (!known) send({ kind: 'forgotten' })
      const page = known ?? add(at)
      page.lastMessageAt = at
      this.take(number, page, message)
    }
  }

  /** Forgets the pages that are gone. */
  sweep(now: number) {
    for (const [number, page] of this.pages) {
      if (now - page.lastMessageAt > pageTimeoutMs) this.forget(number)
    }
  }

  private forget(number: number) {
    for (const id of this.pages.get(number)?.ids ?? []) this.hub.unsubscribe(key(number, id))
    this.pages.delete(number)
  }

  private take(number: number, page: Page, message: ToWorker) {
    switch (message.do) {
      case 'subscribe': {
        const id = message.id
        page.ids.add(id)
        this.hub.subscribe(key(number, id), message.sub, {
          onEvent: (event) => page.send({ kind: 'event', id, event }),
          onState: (state, info) => page.send({ kind: 'state', id, state, info }),
        })
        break
      }
      case 'visible':
        this.hub.visible(key(number, message.id), message.at)
        break
      case 'unsubscribe':
        page.ids.delete(message.id)
        this.hub.unsubscribe(key(number, message.id))
        break
      case 'check':
        this.hub.check()
        break
    }
  }
}

function key(page: number, id: number): string {
  return page + '/' + id
}
