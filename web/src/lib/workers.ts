// What the page says about a worker.
import type { Run, WorkerInfo } from './api/types'
import { ago, bytes, cores, moment, plural, ticking } from './format'
import type { Tone } from './state'

/** How a worker is: a word, its tone, and the rest of the sentence. */
export interface Condition {
  word: string
  tone: Tone
  more: string
}

export function condition(w: WorkerInfo, now: number): Condition {
  if (!w.live) return { word: 'away', tone: 'lost', more: `last asked for runs ${ago(w.last_at, now)}` }
  if (w.drain) return { word: 'draining', tone: 'warn', more: drainText(w, now) }
  return { word: 'ready', tone: 'good', more: `asked for runs ${ago(w.last_at, now)}` }
}

/** Who drains a worker, why, and until when its jobs may work. */
export function drainText(w: WorkerInfo, now: number): string {
  const d = w.drain
  if (!d) return ''
  const parts = [`since ${moment(d.at, now)}${d.by ? ` by ${d.by}` : ''}${d.reason ? `: ${d.reason}` : ''}`]
  const active = used(w)
  if (active === 0) parts.push('nothing runs there any more')
  else if (!d.stop_by) parts.push(`${plural(active, 'run')} may end`)
  else {
    const left = (Date.parse(d.stop_by) - now) / 1000
    parts.push(left > 0 ? `${plural(active, 'run')} may go on for ${ticking(left)}, until ${moment(d.stop_by, now)}` : 'its jobs are asked to stop')
  }
  return parts.join(' · ')
}

/** Slots in use: by attempts, and by runs that were given to the worker and are starting. */
export function used(w: Pick<WorkerInfo, 'active' | 'claimed'>): number {
  return w.active + w.claimed
}

/** What the host of a worker has free. */
export function freeText(w: WorkerInfo): string {
  const parts = [w.free_cpus !== undefined ? `${cores(w.free_cpus)} cores` : '', w.free_memory_bytes ? bytes(w.free_memory_bytes) : ''].filter(Boolean)
  return parts.length > 0 ? parts.join(', ') + ' free' : ''
}

/** Which runs a worker takes besides its labels. */
export function takes(w: WorkerInfo): string {
  return [w.allow?.length ? `only ${w.allow.join(', ')}` : '', w.commands ? 'commands too' : ''].filter(Boolean).join(', ')
}

/** Workers in the order in which they are listed: those that are away last. */
export function inOrder(all: WorkerInfo[]): WorkerInfo[] {
  return all.toSorted((a, b) => Number(b.live) - Number(a.live) || a.name.localeCompare(b.name, 'en', { numeric: true }))
}

/** "5 ready · 1 draining · 1 away". */
export function summary(all: WorkerInfo[], now: number): string {
  const words = all.map((w) => condition(w, now).word)
  return ['ready', 'draining', 'away']
    .map((word) => [words.filter((x) => x === word).length, word] as const)
    .filter(([n]) => n > 0)
    .map(([n, word]) => `${n} ${word}`)
    .join(' · ')
}

/** The runs whose last attempt a worker started. */
export function startedBy(runs: Run[] | null, name: string): Run[] {
  return (runs ?? []).filter((r) => r.submitted?.worker === name)
}
