import { api, type QueueQuery } from '../lib/api/client'
import type { Group, QueuedRun } from '../lib/api/types'
import { followAll } from '../lib/feed.svelte'
import { every, Loaded } from '../lib/load.svelte'
import { throttled } from '../lib/throttle'

const pageSize = 100
const reloadPauseMs = 1500
/** Estimates and workers change without a change of a run. */
const pollMs = 5000

/** A run of the queue as a row. */
export type QueueRow = QueuedRun & { id: string }

export interface QueueView {
  rows: QueueRow[]
  groups: Group[]
  queued: number
  held: number
  more: boolean
}

/** The queue: the pages that were read, kept up to date. */
export class QueueList {
  readonly data = new Loaded((signal) => this.read(signal))
  private pages = 1

  constructor(private query: () => QueueQuery) {}

  /** Follows the changes of the queue; returns a function that ends it. */
  start(): () => void {
    const reload = throttled(reloadPauseMs, () => this.data.load())
    const ends = [followAll(reload.request, reload.request), every(pollMs, reload.request), () => reload.stop(), () => this.data.close()]
    return () => ends.forEach((end) => end())
  }

  /** Reads the first page. */
  reload() {
    this.pages = 1
    void this.data.load()
  }

  readMore() {
    this.pages++
    return this.data.load()
  }

  private async read(signal: AbortSignal): Promise<QueueView> {
    const query = { ...this.query(), limit: pageSize }
    const [groups, first] = await Promise.all([api.groups(signal), api.queue(query, signal)])
    let page = first
    const runs = [...page.runs]
    for (let n = 1; n < this.pages && page.next_cursor; n++) {
      page = await api.queue({ ...query, cursor: page.next_cursor }, signal)
      runs.push(...page.runs)
    }
    const rows = [...new Map(runs.map((q) => [q.run, { ...q, id: q.run }])).values()]
    return { rows, groups: groups.groups, queued: first.queued, held: first.held, more: page.next_cursor !== null }
  }
}
