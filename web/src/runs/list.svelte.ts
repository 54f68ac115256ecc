import { api, optional } from '../lib/api/client'
import type { Counts, Run, RunPage } from '../lib/api/types'
import { followAll } from '../lib/feed.svelte'
import { queryOf, type Filters } from '../lib/filter'
import { every, Loaded } from '../lib/load.svelte'
import { matches } from '../lib/overview'
import { throttled } from '../lib/throttle'

const pageSize = 100
const retryMs = 4000
const countPauseMs = 3000

/** The runs that match the filters: the pages that were read, kept up to date. */
export class RunList {
  readonly data = new Loaded((signal) => this.readPages(signal))
  readonly runs = $derived(this.data.value?.runs ?? [])
  counts = $state.raw<Counts | null>(null)
  /** The ids of new runs that are not in the list yet. */
  unseen = $state.raw(new Set<string>())
  loadingMore = $state(false)
  moreFailed = $state(false)
  private pages = 1
  /** Runs that changed while the list is read: the answer may be older. */
  private changedSince: Map<string, Run> | null = null
  private counting = throttled(countPauseMs, () => {
    void optional(api.counts(this.query())).then((got) => (this.counts = got))
  })

  constructor(private filters: () => Filters) {}

  /** Follows the changes of the runs; returns a function that ends it. */
  start(): () => void {
    const ends = [
      followAll((run) => this.changed(run), () => void this.refresh()),
      every(retryMs, () => {
        if (this.data.error?.temporary) void this.data.load()
      }),
      () => this.counting.stop(),
      () => this.data.close(),
    ]
    return () => ends.forEach((end) => end())
  }

  /** Reads the first page. */
  reload() {
    this.unseen = new Set()
    this.pages = 1
    void this.data.load()
    this.counting.request()
  }

  /** Reads the shown pages again, because changes may have been missed. */
  private async refresh() {
    const before = this.unseen
    this.pages = Math.max(1, Math.ceil(this.runs.length / pageSize))
    await this.data.load()
    if (!this.data.error) this.unseen = new Set([...this.unseen].filter((id) => !before.has(id) && !this.runs.some((r) => r.id === id)))
    this.counting.request()
  }

  async loadMore() {
    const cursor = this.data.value?.next_cursor
    if (!cursor || this.loadingMore) return
    this.loadingMore = true
    this.moreFailed = false
    const page = await optional(api.runs({ ...this.query(), limit: pageSize, cursor }))
    if (!page) this.moreFailed = true
    else if (this.data.value?.next_cursor === cursor) this.data.value = { runs: once([...this.runs, ...(page.runs ?? [])]), next_cursor: page.next_cursor } // not read again meanwhile
    this.loadingMore = false
  }

  private query() {
    return queryOf(this.filters(), Date.now())
  }

  private async readPages(signal: AbortSignal): Promise<RunPage> {
    const changed = (this.changedSince = new Map<string, Run>())
    const query = { ...this.query(), limit: pageSize }
    try {
      let page = await api.runs(query, signal)
      const all = [...(page.runs ?? [])]
      for (let n = 1; n < this.pages && page.next_cursor; n++) {
        page = await api.runs({ ...query, cursor: page.next_cursor }, signal)
        all.push(...(page.runs ?? []))
      }
      return { ...page, runs: once(all).map((r) => changed.get(r.id) ?? r) }
    } finally {
      if (this.changedSince === changed) this.changedSince = null
    }
  }

  private changed(run: Run) {
    this.changedSince?.set(run.id, run)
    const { data, runs } = this
    if (!data.value) return
    this.counting.request()
    const filters = this.filters()
    if (runs.some((r) => r.id === run.id)) {
      data.value = { ...data.value, runs: runs.map((r) => (r.id === run.id ? run : r)) }
    } else if (matches(run, { ...filters, label: queryOf(filters, 0).label }) && (runs.length === 0 || run.start_at > (runs[0]?.start_at ?? ''))) {
      if (runs.length === 0) this.reload()
      else this.unseen = new Set(this.unseen).add(run.id)
    }
  }
}

/** Each run once: a run can move to the next page between two requests. */
function once(runs: Run[]): Run[] {
  return [...new Map(runs.map((r) => [r.id, r])).values()]
}
