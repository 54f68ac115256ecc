import { expect, test } from 'vitest'
import type { Band, Run, Sample } from './api/types'
import { usualRangeOf, markers, panels, rates, valueAt, withMemory } from './panels'

const began = 1_700_000_000
const iso = (s: number) => new Date((began + s) * 1000).toISOString()
const sample = (s: number, more: Partial<Sample> = {}): Sample => ({
  at: iso(s), cpu_seconds: s, cpu_cores: 1, memory_bytes: 1 << 30, processes: 1, ...more,
})
const run = {
  started_at: iso(0), start_at: iso(0), created_at: iso(0), usage: { cpu_seconds: 2, peak_memory_bytes: 2 ** 30, read_bytes: 10, written_bytes: 20 },
  steps: [], output: { gaps: [] }, findings: [], cancel: null,
} as unknown as Run

test('CPU and memory always; the rest where there are figures', () => {
  expect(panels(run, [sample(0)], null, false).map((p) => p.id)).toEqual(['cpu', 'memory'])
  const all = panels(run, [
    sample(0, { read_bytes: 0, write_bytes: 0 }),
    sample(1, { read_bytes: 500, write_bytes: 7, pressure: { cpu: 1, memory: 2, io: 3 } }),
    sample(2, { gpus: [{ index: 1, name: 'A100', memory_bytes: 5, memory_total_bytes: 10, utilization_percent: 40 }] }),
  ], null, true)
  expect(all.map((p) => p.id)).toEqual(['cpu', 'memory', 'io', 'pressure', 'gpu', 'gpu-memory'])
  expect(all[2]!.lines[0]!.values).toEqual([null, 500, 0])
  expect(valueAt(all[3]!, began + 1)).toBe('CPU 1 % · memory 2 % · IO 3 %')
  expect(valueAt(all[4]!, began + 2)).toBe('40 %')
})

test('a limit far above the figures does not press them down; one nearby counts', () => {
  const limit = (bytes: number) => panels(run, [sample(0, { limit_bytes: bytes })], null, true)[1]!.lines.find((l) => l.label === 'limit')
  expect(limit(2 ** 31)?.loose).toBe(false)
  expect(limit(2 ** 36)?.loose).toBe(true)
})

test('rates need two moments and never fall below nothing', () => {
  expect(rates([0, 2, 2, 4], [0, 100, 100, 50])).toEqual([null, 50, null, 0])
})

test('the usual range is brought to the moments of the samples', () => {
  const spread = (v: number) => ({ p10: v, p50: v, p90: v * 2 })
  const band: Band = { runs: 3, points: [
    { at_seconds: 0, cpu_cores: spread(0), memory_bytes: spread(0) },
    { at_seconds: 10, cpu_cores: spread(10), memory_bytes: spread(0) },
  ] }
  const usualRange = usualRangeOf(run, [began, began + 5, began + 10, began + 20], band, (p) => p.cpu_cores)
  expect(usualRange).toEqual({ low: [0, 5, 10, null], high: [0, 10, 20, null] })
  expect(usualRangeOf(run, [began], { runs: 0, points: [] }, (p) => p.cpu_cores)).toBeNull()
  expect(usualRangeOf(run, [began], withMemory(band), (p) => p.memory_bytes)).toBeNull()
})

test('markers: later steps, gaps, findings', () => {
  const busy = {
    ...run,
    steps: [{ name: 'install', started_at: iso(0) }, { name: 'command', started_at: iso(3) }],
    output: { gaps: [{ at: iso(4), bytes: 2048, stream: 'stderr' }] },
    findings: [{ rule: 'no_output', health: 'critical', since: iso(5) }],
  } as unknown as Run
  expect(markers(busy).map((m) => [m.time - began, m.token, m.label])).toEqual([
    [3, 'quiet', 'command begins'],
    [4, 'warn', 'gap: 2 KiB of stderr'],
    [5, 'bad', 'no output'],
  ])
})
