import { api, ApiError, apiURL, optional } from '../lib/api/client'
import { follow, type ServerEvent } from '../lib/api/events'
import type { GhostBand, Job, Run, RunEvent, Sample } from '../lib/api/types'
import { app } from '../lib/app.svelte'
import { append } from '../lib/series'
import { isActive } from '../lib/state'

const points = 600
const bandPoints = 120
// A job that prints more than this in a second is looked at now and then instead: nobody can
// read it, and what it prints need not come here twice.
const busyBytes = 256 * 1024
const busyLookMs = 300

/** One run as it stands and goes on: loaded once, then kept up to date by its stream. */
export class LiveRun {
  run = $state.raw<Run | null>(null)
  error = $state.raw<ApiError | null>(null)
  samples = $state.raw<Sample[]>([])
  events = $state.raw<RunEvent[]>([])
  job = $state.raw<Job | null>(null)
  /** What the last good runs did, to be drawn behind this one; null where there is none. */
  band = $state.raw<GhostBand | null>(null)
  /** The span of time that the charts show, in seconds; null for all of it. */
  zoom = $state.raw<[number, number] | null>(null)
  /** The samples of that span, in full detail. */
  detail = $state.raw<Sample[] | null>(null)
  /** Raised whenever there may be new output. */
  pulse = $state(0)

  private ctl = new AbortController()
  private stream: { stop(): void } | null = null
  private connection = app.connection()
  private retry: ReturnType<typeof setTimeout> | undefined

  constructor(private id: string) {}

  /** Loads the run; what stands beside its log waits for `drawn`, the log's first lines. */
  async start(drawn: Promise<unknown> = Promise.resolve()) {
    clearTimeout(this.retry)
    try {
      const run = await api.run(this.id, this.ctl.signal)
      if (this.ctl.signal.aborted) return
      this.run = run
      this.error = null
      await drawn
      if (this.ctl.signal.aborted) return
      await Promise.all([this.loadSamples(), this.loadEvents(), this.loadUsual(run.job)])
      void this.loadBand()
      if (isActive(run.state) || run.state === 'lost') this.followStream()
    } catch (err) {
      if (this.ctl.signal.aborted) return
      this.error = err instanceof ApiError ? err : new ApiError(0, String(err))
      if (this.error.temporary) this.retry = setTimeout(() => void this.start(drawn), 3000)
    }
  }

  stop() {
    this.ctl.abort()
    clearInterval(this.looking)
    clearTimeout(this.retry)
    this.stream?.stop()
    this.connection.release()
  }

  private arrived = 0
  private since = 0
  private looking: ReturnType<typeof setInterval> | undefined

  /** Counts output as it arrives; too much of it changes over to looking now and then. */
  private count(bytes: number) {
    const now = performance.now()
    if (now - this.since > 1000) {
      this.since = now
      this.arrived = 0
    }
    this.arrived += bytes
    if (this.arrived < busyBytes || this.looking) return
    this.looking = setInterval(() => {
      if (!document.hidden) this.pulse++
    }, busyLookMs)
    this.followStream(false)
  }

  private followStream(output = true) {
    this.stream?.stop()
    const query = output ? { tail: 0 } : { tail: 0, output: false }
    this.stream = follow(apiURL(`runs/${encodeURIComponent(this.id)}/stream`, query), {
      onEvent: (e) => this.take(e),
      onState: (open) => {
        this.connection.set(open)
        if (open) this.pulse++
      },
      onError: (err) => {
        if (err.status === 404) this.error = err
      },
    })
  }

  private take(e: ServerEvent) {
    switch (e.type) {
      case 'output':
        this.count(e.data.length)
        this.pulse++
        break
      case 'gap':
        this.pulse++
        break
      case 'run':
        this.replace(JSON.parse(e.data) as Run)
        break
      case 'sample':
        this.samples = append(this.samples, JSON.parse(e.data) as Sample)
        break
      case 'end':
        this.pulse++
        void this.finish()
        break
    }
  }

  private replace(run: Run) {
    const before = this.run
    this.run = run
    if (before && run.output.lines !== before.output.lines) this.pulse++
    if (!before || before.state !== run.state || before.health !== run.health) void this.loadEvents()
    if (before && before.attempt !== run.attempt) void this.loadSamples()
  }

  private async finish() {
    clearInterval(this.looking)
    try {
      this.run = await api.run(this.id, this.ctl.signal)
    } catch {
      return // what the stream said last stands
    }
    this.connection.set(true)
    await Promise.all([this.loadSamples(), this.loadEvents()])
    this.pulse++
  }

  refresh() {
    void api.run(this.id, this.ctl.signal).then(
      (run) => this.replace(run),
      (err) => {
        if (err instanceof ApiError && err.status === 404) this.error = err // removed meanwhile
        // anything else the stream will say
      },
    )
  }

  /** Shows a span of time with all the samples there are of it; null shows the whole run. */
  async zoomTo(span: [number, number] | null) {
    this.zoom = span
    this.detail = null
    if (!span) return
    const iso = (t: number) => new Date(t * 1000).toISOString()
    const got = await optional(api.samples(this.id, { points, from: iso(span[0]), to: iso(span[1]) }, this.ctl.signal))
    // Too few to draw a line: what was there before is closer.
    if (this.zoom === span && got?.samples && got.samples.length > 2) this.detail = got.samples
  }

  // The rest of the page stands without these.
  private async loadSamples() {
    const got = await optional(api.samples(this.id, { points }, this.ctl.signal))
    if (got) this.samples = got.samples ?? []
  }

  private async loadEvents() {
    const got = await optional(api.events(this.id, this.ctl.signal))
    if (got) this.events = got.events ?? []
  }

  private async loadUsual(job: string) {
    this.job = await optional(api.job(job, this.ctl.signal))
  }

  private async loadBand() {
    this.band = await optional(api.band(this.id, bandPoints, this.ctl.signal))
  }
}
