import type { Changes, Run, Sample } from './api/types'
import * as f from './format'
import type { Panel } from './panels'
import { durationOf } from './scatter'
import { peakMemory, styleOf } from './state'

export interface Fact {
  what: string
  a: string
  b: string
  /** The difference of the second run, if both have the figure. */
  more: string
  same: boolean
}

/** Compares the results and the usage of two runs. */
export function facts(a: Run, b: Run): Fact[] {
  const words = (what: string, of: (r: Run) => string): Fact => ({ what, a: of(a), b: of(b), more: '', same: of(a) === of(b) })
  const figure = (what: string, of: (r: Run) => number, format: (v: number) => string): Fact => ({
    ...words(what, (r) => (Number.isFinite(of(r)) ? format(of(r)) : '–')),
    more: difference(of(a), of(b)),
  })
  return [
    words('outcome', (r) => styleOf(r.state).word),
    words('reason', (r) => r.outcome?.message ?? ''),
    words('host', (r) => r.host),
    figure('time', durationOf, f.duration),
    figure('CPU used', (r) => r.usage.cpu_seconds, f.duration),
    figure('peak memory', (r) => peakMemory(r) || NaN, f.bytes),
    figure('read', (r) => r.usage.read_bytes, f.bytes),
    figure('written', (r) => r.usage.written_bytes, f.bytes),
    figure('lines printed', (r) => r.output.lines, f.count),
  ].filter((x) => x.a !== '' || x.b !== '')
}

/** "+12 %", "−8 %", "3.4 times"; empty when they are about the same or one is missing. */
export function difference(a: number, b: number): string {
  if (!(a > 0) || !(b > 0)) return ''
  const ratio = b / a
  if (ratio >= 2) return `${ratio < 10 ? ratio.toFixed(1) : Math.round(ratio)} times`
  const percent = Math.round((ratio - 1) * 100)
  return percent === 0 ? '' : `${percent > 0 ? '+' : '−'}${Math.abs(percent)} %`
}

/** Differences between the parameters of two runs, for servers that do not compare runs. */
export function changesOf(a: Run, b: Run): NonNullable<Changes['changes']> {
  const labels = (r: Run) => Object.entries(r.labels ?? {}).map(([k, v]) => `${k}=${v}`).sort().join(' ')
  return [
    { what: 'command', before: a.command, after: b.command },
    { what: 'directory', before: a.dir, after: b.dir },
    { what: 'host', before: a.host, after: b.host },
    { what: 'labels', before: labels(a), after: labels(b) },
    { what: 'agent_version', before: a.agent_version, after: b.agent_version },
  ].filter((c) => c.before !== c.after)
}

/** A chart of one figure of both runs by their age. */
export function overlay(
  id: string,
  title: string,
  pick: (s: Sample) => number,
  format: (v: number) => string,
  binary: boolean,
  both: { run: Run; samples: Sample[] }[],
  formatTick = format,
): Panel {
  const series = both.map(({ run, samples }) => {
    const began = Date.parse(run.started_at ?? run.created_at)
    return new Map(samples.map((s) => [Math.max(0, (Date.parse(s.at) - began) / 1000), pick(s)]))
  })
  const time = [...new Set(series.flatMap((s) => [...s.keys()]))].sort((x, y) => x - y)
  const tokens = ['quiet', 'accent']
  return {
    id, title, time, format, formatTick, binary, least: binary ? 1 << 20 : 1, now: '', detail: '', usualRange: null,
    lines: series.map((s, i) => ({ label: `#${both[i]!.run.number}`, token: tokens[i]!, values: time.map((t) => s.get(t) ?? null) })),
  }
}
