import { api, ApiError, apiURL, optional } from '../lib/api/client'
import type { Band, Job, Run, RunEvent, Sample } from '../lib/api/types'
import { follow, followAll } from '../lib/feed.svelte'
import { append } from '../lib/series'
import { isActive } from '../lib/state'
import type { ServerEvent } from '../lib/stream/parser'
import type { StreamInfo, StreamState } from '../lib/stream/stream'

const points = 600
const bandPoints = 120
// If a job prints more than this in a second, the log is read at an interval and not with each
// event: nobody can read it faster, and the output need not be sent twice.
const busyBytes = 256 * 1024
const busyPollMs = 300
/** How often a run is read while its stream waits for other pages of this browser. */
const waitingPollMs = 3000
const watchTimeoutMs = 1500

/** An attempt before the last one. */
interface Earlier {
  attempt: number
  run: Run | null
  samples: Sample[]
  error: ApiError | null
}

/** One run: loaded once, then kept up to date by its stream. */
export class LiveRun {
  run = $state.raw<Run | null>(null)
  error = $state.raw<ApiError | null>(null)
  samples = $state.raw<Sample[]>([])
  events = $state.raw<RunEvent[]>([])
  job = $state.raw<Job | null>(null)
  /** The usual range of the last successful runs; null when there is none. */
  band = $state.raw<Band | null>(null)
  /** The span of time that the charts show, in seconds; null for all of it. */
  zoom = $state.raw<[number, number] | null>(null)
  /** All samples of that span. */
  detail = $state.raw<Sample[] | null>(null)
  /** The attempt that is shown instead of the last one; null for the last one. */
  private earlier = $state.raw<Earlier | null>(null)
  /** The run as the shown attempt has it; null while that is not loaded. */
  readonly shown = $derived(this.earlier ? this.earlier.run : this.run)
  readonly shownSamples = $derived(this.earlier?.samples ?? this.samples)
  /** Why the shown attempt could not be loaded. */
  readonly shownError = $derived(this.earlier?.error ?? null)
  /** Raised whenever there may be new output. */
  pulse = $state(0)

  private ctl = new AbortController()
  private retry: ReturnType<typeof setTimeout> | undefined
  /** Ends the stream of the run. */
  private unfollow: (() => void) | null = null
  /** Ends waiting for an ended run to continue. */
  private unwatch: (() => void) | null = null
  private polling: ReturnType<typeof setInterval> | undefined

  constructor(private id: string) {}

  /** Loads the run. Everything but the log waits until the log's first lines are drawn. */
  async start(logDrawn: Promise<unknown> = Promise.resolve()) {
    clearTimeout(this.retry)
    try {
      const run = await api.run(this.id, this.ctl.signal)
      if (this.ctl.signal.aborted) return
      this.run = run
      this.error = null
      await logDrawn
      if (this.ctl.signal.aborted) return
      if (isActive(run.state)) this.followStream()
      else this.watch()
      await Promise.all([this.loadSamples(), this.unwatch ? this.loadEventsWhenWatching() : this.loadEvents(), this.loadUsual(run.job)])
      void this.loadBand()
    } catch (err) {
      if (this.ctl.signal.aborted) return
      this.error = ApiError.of(err)
      if (this.error.temporary) this.retry = setTimeout(() => void this.start(logDrawn), 3000)
    }
  }

  stop() {
    this.ctl.abort()
    clearInterval(this.busyPolling)
    clearInterval(this.polling)
    clearTimeout(this.retry)
    this.unfollow?.()
    this.unwatch?.()
  }

  private recentBytes = 0
  private countedFrom = 0
  private busyPolling: ReturnType<typeof setInterval> | undefined

  /** Counts output as it arrives. If there is too much, the log is read at an interval. */
  private count(bytes: number) {
    const now = performance.now()
    if (now - this.countedFrom > 1000) {
      this.countedFrom = now
      this.recentBytes = 0
    }
    this.recentBytes += bytes
    if (this.recentBytes < busyBytes || this.busyPolling) return
    this.busyPolling = setInterval(() => {
      if (!document.hidden) this.pulse++
    }, busyPollMs)
    this.followStream(false)
  }

  private followStream(output = true) {
    this.unwatch?.()
    this.unwatch = null
    // After a connection that did not resume the last one, the samples are read again.
    let opened = this.unfollow !== null
    this.unfollow?.()
    const query = output ? { tail: 0 } : { tail: 0, output: false }
    this.unfollow = follow(apiURL(`runs/${encodeURIComponent(this.id)}/stream`, query), false, {
      onEvent: (e) => this.take(e),
      onState: (state, info) => {
        if (state === 'live' && opened && !info.resumed) void this.loadSamples()
        opened ||= state === 'live'
        this.streamIs(state, info)
      },
      onError: (err) => {
        if (err.status === 404) this.error = err
        else if (err.status !== 401) this.poll(true)
      },
    })
  }

  private streamIs(state: StreamState, info: StreamInfo) {
    if (state === 'live') this.pulse++
    if (info.refusal) return
    this.poll(state === 'waiting')
  }

  /** Reads the run at an interval while there is no stream. */
  private poll(on: boolean) {
    clearInterval(this.polling)
    this.polling = on
      ? setInterval(() => {
          if (document.hidden) return
          this.pulse++
          this.refresh()
        }, waitingPollMs)
      : undefined
  }

  /** Waits for an ended run to continue: it can be retried, or its agent can report again. */
  private watch() {
    this.unfollow?.()
    this.unfollow = null
    if (this.unwatch) return
    this.unwatch = followAll(
      (run) => run.id === this.run?.id && this.replace(run),
      () => this.watchBegan(),
    )
  }

  private watching = false
  private onWatching = () => {}

  /** The stream of all runs is open. Changes before that are found by other requests. */
  private watchBegan() {
    if (this.watching) return this.refresh()
    this.watching = true
    this.onWatching()
  }

  /** Loads the events when the stream of all runs is open, or after a timeout. */
  private async loadEventsWhenWatching() {
    await new Promise<void>((done) => {
      if (this.watching) return done()
      this.onWatching = done
      setTimeout(done, watchTimeoutMs)
    })
    await this.loadEvents()
    const last = this.events.findLast((e) => e.kind === 'state')
    if (last && last.to !== this.run?.state) this.refresh()
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
        this.takeSample(JSON.parse(e.data) as Sample)
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
    if (!before || before.state !== run.state || before.health !== run.health || before.acknowledged?.at !== run.acknowledged?.at) void this.loadEvents()
    if (before && before.attempt !== run.attempt && !this.unwatch) void this.loadSamples()
    if (isActive(run.state) && this.unwatch) {
      void this.loadSamples()
      this.followStream() // it continues
    }
  }

  private async finish() {
    clearInterval(this.busyPolling)
    this.busyPolling = undefined
    this.watch()
    try {
      this.replace(await api.run(this.id, this.ctl.signal))
    } catch {
      return // the last update of the stream remains
    }
    await Promise.all([this.loadSamples(), this.loadEvents()])
    this.pulse++
  }

  refresh() {
    void api.run(this.id, this.ctl.signal).then(
      (run) => this.replace(run),
      (err) => {
        if (err instanceof ApiError && err.status === 404) this.error = err // removed meanwhile
        // the stream reports anything else
      },
    )
  }

  /** Shows an attempt before the last one; 0 shows the last. */
  async show(attempt: number) {
    if (attempt === (this.earlier?.attempt ?? 0)) return
    void this.zoomTo(null)
    this.earlier = null
    if (attempt > 0) await this.loadEarlier(attempt)
  }

  /** Loads the shown attempt again after an error. */
  async showAgain() {
    if (this.earlier?.error) await this.loadEarlier(this.earlier.attempt)
  }

  private async loadEarlier(attempt: number) {
    const requested: Earlier = { attempt, run: null, samples: [], error: null }
    this.earlier = requested
    try {
      const [run, samples] = await Promise.all([
        api.run(this.id, this.ctl.signal, attempt),
        optional(api.samples(this.id, { points, attempt }, this.ctl.signal)),
      ])
      if (this.earlier === requested) this.earlier = { ...requested, run, samples: samples?.samples ?? [] }
    } catch (err) {
      if (this.ctl.signal.aborted || this.earlier !== requested) return
      this.earlier = { ...requested, error: ApiError.of(err) }
    }
  }

  /** Shows a span of time with all the samples there are of it; null shows the whole run. */
  async zoomTo(span: [number, number] | null) {
    this.zoom = span
    this.detail = null
    if (!span) return
    const iso = (t: number) => new Date(t * 1000).toISOString()
    const got = await optional(api.samples(this.id, { points, attempt: this.earlier?.attempt, from: iso(span[0]), to: iso(span[1]) }, this.ctl.signal))
    // Too few to draw a line: the samples of the whole run are better.
    if (this.zoom === span && got?.samples && got.samples.length > 2) this.detail = got.samples
  }

  // The rest of the page does not need these.
  private async loadSamples() {
    const streamed: Sample[] = (this.streamed = [])
    const got = await optional(api.samples(this.id, { points }, this.ctl.signal))
    if (this.streamed === streamed) this.streamed = null
    if (got) this.samples = streamed.reduce((all, s) => append(all, s), got.samples ?? [])
  }

  /** The samples that the stream sent while samples are loaded. */
  private streamed: Sample[] | null = null

  private takeSample(sample: Sample) {
    this.streamed?.push(sample)
    this.samples = append(this.samples, sample)
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
