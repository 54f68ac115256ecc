import type { Band, Run, Sample, Spread } from './api/types'
import * as f from './format'
import { indexAt } from './series'
import { asWords, peakMemory } from './state'

/** One line of a chart. */
export interface Line {
  label: string
  token: string // name of a colour token
  values: (number | null)[]
  fill?: boolean
  dash?: boolean
  /** A thin dotted line, drawn behind the others. */
  dots?: boolean
  /** Drawn, but the scale may end below it. */
  loose?: boolean
  /** Not among the values of a moment. */
  unlisted?: boolean
}

/** A chart as data, without how it is drawn. */
export interface Panel {
  id: string
  title: string
  /** Beside the title while the pointer is not in a chart. */
  now: string
  detail: string
  time: number[] // seconds
  lines: Line[]
  /** The usual range at the same age, from the last successful runs. */
  usualRange: { low: (number | null)[]; high: (number | null)[] } | null
  format: (v: number) => string
  /** As format, without the unit where the title names it. */
  formatTick?: (v: number) => string
  /** The smallest value at the top of the scale. */
  least: number
  binary: boolean
}

/** An event, drawn across all charts. */
export interface Marker {
  time: number
  token: string
  label: string
}

const inCores = (v: number) => `${f.cores(v)} ${v === 1 ? 'core' : 'cores'}`
const percent = (v: number) => `${Math.round(v * 10) / 10} %`
const perSecond = (v: number) => f.bytes(v) + '/s'
const gpuTokens = ['accent', 'good', 'lost', 'warn', 'bad', 'quiet']

/** The charts that have values; CPU and memory come first and are always there. */
export function panels(run: Run, samples: Sample[], band: Band | null, active: boolean): Panel[] {
  const time = samples.map((s) => Date.parse(s.at) / 1000)
  const out = [cpuPanel(run, samples, time, band, active), memoryPanel(run, samples, time, band, active)]
  if (samples.some((s) => s.read_bytes || s.write_bytes)) out.push(ioPanel(run, samples, time))
  if (samples.some((s) => s.pressure)) out.push(pressurePanel(samples, time))
  if (samples.some((s) => s.gpus?.length)) out.push(...gpuPanels(samples, time))
  return out
}

function cpuPanel(run: Run, samples: Sample[], time: number[], band: Band | null, active: boolean): Panel {
  const values = samples.map((s) => s.cpu_cores)
  const last = values[values.length - 1]
  const used = Math.round(run.usage.cpu_seconds * 10) / 10
  return {
    id: 'cpu', title: 'CPU', time, format: inCores, formatTick: f.cores, least: 1, binary: false,
    now: active && last !== undefined ? inCores(last) : `peak ${inCores(most(values))}`,
    detail: `${f.count(used)} CPU seconds`,
    lines: [{ label: 'CPU', token: 'accent', values, fill: true }],
    usualRange: usualRangeOf(run, time, band, (p) => p.cpu_cores),
  }
}

function memoryPanel(run: Run, samples: Sample[], time: number[], band: Band | null, active: boolean): Panel {
  const values = samples.map((s) => s.memory_bytes)
  const last = samples[samples.length - 1]
  const limit = last?.limit_bytes ?? 0
  const peak = run.outcome?.oom ? peakMemory(run) : Math.max(peakMemory(run), most(values))
  const lines: Line[] = []
  // The peak is drawn first: where it equals the memory, it is hidden behind it.
  if (samples.some((s) => s.peak_bytes)) {
    lines.push({ label: 'peak with cache', token: 'muted', values: samples.map((s) => s.peak_bytes ?? null), dots: true, unlisted: true })
  }
  lines.push({ label: 'memory', token: 'accent', values, fill: true })
  const cache = samples.map((s) => s.cache_bytes ?? null)
  if (most(cache) > 0) lines.push({ label: 'cache', token: 'warn', values: cache, loose: most(cache) > 2 * peak })
  // If the scale had to reach a limit far above, everything else would be flat.
  if (limit > 0) lines.push({ label: 'limit', token: 'bad', values: time.map(() => limit), dash: true, loose: limit > 4 * peak, unlisted: true })
  const of = limit > 0 ? ` of ${f.bytes(limit)}` : ''
  return {
    id: 'memory', title: 'Memory', time, lines, format: f.bytes, least: 1 << 20, binary: true,
    now: active && last ? f.bytes(last.memory_bytes) + of : `peak ${f.bytes(peak)}${of}`,
    detail: active ? `peak ${f.bytes(peak)}` : '',
    usualRange: usualRangeOf(run, time, withMemory(band), (p) => p.memory_bytes),
  }
}

/** The part of a band that has memory values. */
export function withMemory(band: Band | null): Band | null {
  return band && { ...band, points: (band.points ?? []).filter((p) => p.memory_bytes.p90 > 0) }
}

function ioPanel(run: Run, samples: Sample[], time: number[]): Panel {
  const read = rates(time, samples.map((s) => s.read_bytes ?? 0))
  const written = rates(time, samples.map((s) => s.write_bytes ?? 0))
  return {
    id: 'io', title: 'IO', time, format: perSecond, least: 1 << 10, binary: true, usualRange: null,
    now: `read ${f.bytes(run.usage.read_bytes)}, written ${f.bytes(run.usage.written_bytes)}`,
    detail: '',
    lines: [
      { label: 'read', token: 'accent', values: read },
      { label: 'written', token: 'warn', values: written },
    ],
  }
}

function pressurePanel(samples: Sample[], time: number[]): Panel {
  const line = (label: string, token: string, pick: (s: Sample) => number | undefined): Line => ({
    label, token, values: samples.map((s) => pick(s) ?? null),
  })
  return {
    id: 'pressure', title: 'Pressure', time, format: percent, least: 5, binary: false, usualRange: null,
    now: 'share of time that tasks waited',
    detail: '',
    lines: [
      line('CPU', 'accent', (s) => s.pressure?.cpu),
      line('memory', 'lost', (s) => s.pressure?.memory),
      line('IO', 'warn', (s) => s.pressure?.io),
    ],
  }
}

function gpuPanels(samples: Sample[], time: number[]): Panel[] {
  const indexes = [...new Set(samples.flatMap((s) => (s.gpus ?? []).map((g) => g.index)))].sort((a, b) => a - b)
  const shown = indexes.slice(0, gpuTokens.length)
  const names = new Set(samples.flatMap((s) => (s.gpus ?? []).map((g) => g.name)))
  const of = (i: number, pick: (g: NonNullable<Sample['gpus']>[number]) => number | undefined) =>
    samples.map((s) => {
      const gpu = s.gpus?.find((g) => g.index === i)
      return gpu ? (pick(gpu) ?? null) : null
    })
  const common = { time, usualRange: null, detail: indexes.length > shown.length ? `the first ${shown.length} of ${indexes.length}` : '' }
  return [
    {
      ...common, id: 'gpu', title: 'GPU', format: percent, least: 100, binary: false, now: [...names].join(', '),
      lines: shown.map((i, at) => ({ label: `GPU ${i}`, token: gpuTokens[at]!, values: of(i, (g) => g.utilization_percent) })),
    },
    {
      ...common, id: 'gpu-memory', title: 'GPU memory', format: f.bytes, least: 1 << 30, binary: true, now: '',
      lines: shown.map((i, at) => ({ label: `GPU ${i}`, token: gpuTokens[at]!, values: of(i, (g) => g.memory_bytes) })),
    },
  ]
}

function most(values: (number | null)[]): number {
  return values.reduce<number>((a, b) => Math.max(a, b ?? 0), 0)
}

/** Growth per second between two samples; the first has no rate. */
export function rates(time: number[], total: number[]): (number | null)[] {
  return total.map((v, i) => {
    const span = i > 0 ? time[i]! - time[i - 1]! : 0
    return span > 0 ? Math.max(0, v - total[i - 1]!) / span : null
  })
}

/** The usual range at the moments of this run's samples. */
export function usualRangeOf(
  run: Run,
  time: number[],
  band: Band | null,
  pick: (p: NonNullable<Band['points']>[number]) => Spread,
): Panel['usualRange'] {
  const points = band?.points ?? []
  const began = Date.parse(run.started_at ?? run.created_at) / 1000
  if (points.length < 2) return null
  const ages = points.map((p) => p.at_seconds)
  const at = (edge: 'p10' | 'p90') =>
    time.map((t) => {
      const i = indexAt(ages, t - began)
      const a = points[Math.max(0, i)]!
      const b = points[i + 1]
      if (!b) return t - began > ages[ages.length - 1]! + 1 ? null : pick(a)[edge]
      const share = Math.min(1, Math.max(0, (t - began - a.at_seconds) / (b.at_seconds - a.at_seconds || 1)))
      return pick(a)[edge] + (pick(b)[edge] - pick(a)[edge]) * share
    })
  return { low: at('p10'), high: at('p90') }
}

/** The values at a moment, while the pointer is there. */
export function valueAt(p: Panel, time: number): string {
  const i = indexAt(p.time, time)
  if (i < 0) return '–'
  const parts = p.lines
    .filter((l) => !l.unlisted)
    .map((l) => {
      const v = lastKnown(l.values, i)
      return v === null ? '' : p.lines.length > 1 ? `${l.label} ${p.format(v)}` : p.format(v)
    })
    .filter(Boolean)
  return parts.join(' · ')
}

function lastKnown(values: (number | null)[], i: number): number | null {
  for (let k = i; k >= 0 && k > i - 20; k--) {
    const v = values[k]
    if (v !== null && v !== undefined) return v
  }
  return null
}

/** The events of a run that its charts show: steps, gaps, findings, cancel. */
export function markers(run: Run): Marker[] {
  const at = (iso: string) => Date.parse(iso) / 1000
  return [
    ...(run.steps ?? []).slice(1).map((s) => ({ time: at(s.started_at), token: 'quiet', label: `${s.name} begins` })),
    ...(run.output.gaps ?? []).map((g) => ({ time: at(g.at), token: 'warn', label: `gap: ${f.bytes(g.bytes)} of ${g.stream}` })),
    ...(run.findings ?? []).map((x) => ({ time: at(x.since), token: x.health === 'critical' ? 'bad' : 'warn', label: asWords(x.rule) })),
    ...(run.cancel ? [{ time: at(run.cancel.at), token: 'quiet', label: 'cancel requested' }] : []),
  ].filter((m) => Number.isFinite(m.time))
}
