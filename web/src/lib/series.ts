import type { Sample } from './api/types'

/**
 * Appends a live sample. Above `most`, pairs of neighbours are merged: the higher values remain, so
 * that spikes survive.
 */
export function append(samples: Sample[], s: Sample, most = 4000): Sample[] {
  const last = samples[samples.length - 1]
  if (last && Date.parse(last.at) >= Date.parse(s.at)) return samples
  const next = [...samples, s]
  return next.length > most ? thin(next) : next
}

function thin(samples: Sample[]): Sample[] {
  const out: Sample[] = []
  for (let i = 0; i < samples.length; i += 2) {
    const a = samples[i]!
    const b = samples[i + 1]
    if (!b) {
      out.push(a)
      continue
    }
    const high = a.memory_bytes >= b.memory_bytes ? a : b
    const busy = a.cpu_cores >= b.cpu_cores ? a : b
    out.push({ ...high, cpu_cores: busy.cpu_cores })
  }
  return out
}

/** A sparkline as an SVG path in a box; the top is the largest value or `full`. */
export function sparkPath(values: number[], width: number, height: number, full = 0): string {
  if (values.length === 0) return ''
  const top = Math.max(full, ...values) || 1
  const step = values.length > 1 ? width / (values.length - 1) : 0
  return values
    .map((v, i) => `${i === 0 ? 'M' : 'L'}${(i * step).toFixed(1)} ${(height - (v / top) * height).toFixed(1)}`)
    .join('')
}

/** The index of the last value at or before a moment; -1 when there is none. */
export function indexAt(times: ArrayLike<number>, time: number): number {
  let low = 0
  let high = times.length
  while (low < high) {
    const mid = (low + high) >> 1
    if (times[mid]! <= time) low = mid + 1
    else high = mid
  }
  return low - 1
}
