import { api, ApiError, apiURL, optional } from '../lib/api/client'
import type { GhostBand, Job, Run, RunEvent, Sample } from '../lib/api/types'
import { follow, followAll } from '../lib/feed.svelte'
import { append } from '../lib/series'
import { isActive } from '../lib/state'
import type { ServerEvent } from '../lib/stream/parser'
import type { StreamInfo, StreamState } from '../lib/stream/stream'

const points = 600
const bandPoints = 120
// A job that prints more than this in a second is looked at now and then instead: nobody can
// read it, and what it prints need not come here twice.
const busyBytes = 256 * 1024
const busyLookMs = 300
/** How often a run is looked at whose stream other pages of this browser hold up. */
const waitingLookMs = 3000
const watchPatienceMs = 1500

/** An attempt before the last one. */
interface Earlier {
  attempt: number
  run: Run | null
  samples: Sample[]
  error: ApiError | null
}

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
  /** An attempt before the last one that is shown instead of it; null for the last. */
  private earlier = $state.raw<Earlier | null>(null)
  /** The run as the attempt that is shown has it; null while that is not loaded. */
  readonly shown = $derived(this.earlier ? this.earlier.run : this.run)
  readonly shownSamples = $derived(this.earlier?.samples ?? this.samples)
  /** Why the attempt that is shown could not be loaded. */
  readonly shownError = $derived(this.earlier?.error ?? null)
  /** Raised whenever there may be new output. */
  pulse = $state(0)

  private ctl = new AbortController()
  private retry: ReturnType<typeof setTimeout> | undefined
  /** Ends the stream of the run. */
  private unfollow: (() => void) | null = null
  /** Ends the wait for a run that has ended to go on. */
  private unwatch: (() => void) | null = null
  private waiting: ReturnType<typeof setInterval> | undefined

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
      if (isActive(run.state)) this.followStream()
      else this.watch()
      await Promise.all([this.loadSamples(), this.unwatch ? this.watching() : this.loadEvents(), this.loadUsual(run.job)])
      void this.loadBand()
    } catch (err) {
      if (this.ctl.signal.aborted) return
      this.error = err instanceof ApiError ? err : new ApiError(0, String(err))
      if (this.error.temporary) this.retry = setTimeout(() => void this.start(drawn), 3000)
    }
  }

  stop() {
    this.ctl.abort()
    clearInterval(this.looking)
    clearInterval(this.waiting)
    clearTimeout(this.retry)
    this.unfollow?.()
    this.unwatch?.()
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
    this.unwatch?.()
    this.unwatch = null
    // What came between two connections without a place is read again.
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
        else if (err.status !== 401) this.look(true)
      },
    })
  }

  private streamIs(state: StreamState, info: StreamInfo) {
    if (state === 'live') this.pulse++
    if (info.refusal) return
    this.look(state === 'waiting')
  }

  /** Looks at the run now and then, where no stream says what is new. */
  private look(on: boolean) {
    clearInterval(this.waiting)
    this.waiting = on
      ? setInterval(() => {
          if (document.hidden) return
          this.pulse++
          this.refresh()
        }, waitingLookMs)
      : undefined
  }

  /** Waits for a run that has ended to go on: it may be retried, or found alive. */
  private watch() {
    this.unfollow?.()
    this.unfollow = null
    if (this.unwatch) return
    this.unwatch = followAll(
      (run) => run.id === this.run?.id && this.replace(run),
      () => this.watchedSince(),
    )
  }

  private watched = false
  private onwatched = () => {}

  /** The stream of all runs begins: a change that it was too late for is found in another way. */
  private watchedSince() {
    if (this.watched) return this.refresh()
    this.watched = true
    this.onwatched()
  }

  /** Loads the events once the stream of all runs has begun, but does not wait long for that. */
  private async watching() {
    await new Promise<void>((done) => {
      if (this.watched) return done()
      this.onwatched = done
      setTimeout(done, watchPatienceMs)
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
      this.followStream() // it goes on
    }
  }

  private async finish() {
    clearInterval(this.looking)
    this.looking = undefined
    this.watch()
    try {
      this.replace(await api.run(this.id, this.ctl.signal))
    } catch {
      return // what the stream said last stands
    }
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

  /** Shows an attempt before the last one; 0 shows the last. */
  async show(attempt: number) {
    if (attempt === (this.earlier?.attempt ?? 0)) return
    void this.zoomTo(null)
    this.earlier = null
    if (attempt > 0) await this.loadEarlier(attempt)
  }

  /** Loads the attempt that is shown again, after it could not be loaded. */
  async showAgain() {
    if (this.earlier?.error) await this.loadEarlier(this.earlier.attempt)
  }

  private async loadEarlier(attempt: number) {
    const asked: Earlier = { attempt, run: null, samples: [], error: null }
    this.earlier = asked
    try {
      const [run, samples] = await Promise.all([
        api.run(this.id, this.ctl.signal, attempt),
        optional(api.samples(this.id, { points, attempt }, this.ctl.signal)),
      ])
      if (this.earlier === asked) this.earlier = { ...asked, run, samples: samples?.samples ?? [] }
    } catch (err) {
      if (this.ctl.signal.aborted || this.earlier !== asked) return
      this.earlier = { ...asked, error: err instanceof ApiError ? err : new ApiError(0, String(err)) }
    }
  }

  /** Shows a span of time with all the samples there are of it; null shows the whole run. */
  async zoomTo(span: [number, number] | null) {
    this.zoom = span
    this.detail = null
    if (!span) return
    const iso = (t: number) => new Date(t * 1000).toISOString()
    const got = await optional(api.samples(this.id, { points, attempt: this.earlier?.attempt, from: iso(span[0]), to: iso(span[1]) }, this.ctl.signal))
    // Too few to draw a line: what was there before is closer.
    if (this.zoom === span && got?.samples && got.samples.length > 2) this.detail = got.samples
  }

  // The rest of the page stands without these.
  private async loadSamples() {
    const streamed: Sample[] = (this.streamed = [])
    const got = await optional(api.samples(this.id, { points }, this.ctl.signal))
    if (this.streamed === streamed) this.streamed = null
    if (got) this.samples = streamed.reduce((all, s) => append(all, s), got.samples ?? [])
  }

  /** The samples that came by the stream while samples are loaded. */
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
