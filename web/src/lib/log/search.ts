import type { components } from '../api/schema'
import type { LogLine, Stream } from '../api/types'
import { count } from '../format'

type S = components['schemas']

/** What a search looks for. */
export interface SearchQuery {
  q: string
  regex: boolean
  case: boolean
}

/** A line of the search's answer: a match, or context around one. */
export type FoundLine = Omit<S['SearchedLine'], 'stream'> & { stream: Stream }
export type Done = S['SearchDone']

/** One object of the streamed answer. */
export type SearchItem = FoundLine | { progress: S['SearchProgress'] } | { done: Done }

export function sameQuery(a: SearchQuery, b: SearchQuery): boolean {
  return a.q === b.q && a.regex === b.regex && a.case === b.case
}

/** The pattern that marks matches in drawn text; null if this browser cannot read it. */
export function pattern(query: SearchQuery): RegExp | null {
  if (query.q === '') return null
  const source = query.regex ? query.q : query.q.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  try {
    return new RegExp(source, query.case ? 'gu' : 'giu')
  } catch {
    return null // the server's dialect has more, such as (?i)
  }
}

/** Splits spans where the pattern matches their joined text; matches get the class "hit". */
export function highlight<S extends { text: string; cls: string }>(spans: S[], re: RegExp | null): { text: string; cls: string }[] {
  if (!re) return spans
  const text = spans.map((s) => s.text).join('')
  const hits = hitsIn(text, re)
  if (hits.length === 0) return spans
  const out: { text: string; cls: string }[] = []
  let at = 0
  let next = 0
  for (const span of spans) {
    const end = at + span.text.length
    while (at < end) {
      while (next < hits.length && hits[next]![1] <= at) next++
      const hit = hits[next]
      const inside = hit !== undefined && hit[0] <= at
      const stop = hit === undefined ? end : Math.min(end, inside ? hit[1] : hit[0])
      const cls = inside ? (span.cls + ' hit').trim() : span.cls
      out.push({ text: text.slice(at, stop), cls })
      at = stop
    }
  }
  return out
}

const maxHitsPerLine = 200 // of one line, so that a hostile pattern on a long line stays cheap

function hitsIn(text: string, re: RegExp): [number, number][] {
  const hits: [number, number][] = []
  re.lastIndex = 0
  for (let m = re.exec(text); m && hits.length < maxHitsPerLine; m = re.exec(text)) {
    if (m[0] === '') re.lastIndex++
    else hits.push([m.index, m.index + m[0].length])
  }
  return hits
}

/** The index in sorted line numbers of the first one after `line`; after the last one the first follows. */
export function nextOf(lines: number[], line: number): number {
  const i = lines.findIndex((n) => n > line)
  return i < 0 ? (lines.length > 0 ? 0 : -1) : i
}

/** The index of the last one before `line`; before the first one the last follows. */
export function previousOf(lines: number[], line: number): number {
  const i = lines.findLastIndex((n) => n < line)
  return i < 0 ? lines.length - 1 : i
}

/** What the search bar says about the matches: "3 of 120", "12+" while it searches, "none". */
export function matchCount(s: { count: number; current: number; busy: boolean; progress: number }): string {
  if (s.count === 0) return s.busy ? `${Math.round(s.progress * 100)} %` : 'none'
  const all = count(s.count) + (s.busy ? '+' : '')
  return s.current >= 0 ? `${count(s.current + 1)} of ${all}` : all
}

/** A found line as a line of the log. */
export function asLogLine(f: FoundLine): LogLine {
  return { n: f.line, at: f.at, step: f.step, stream: f.stream, text: f.text, ...(f.cut ? { truncated: true } : {}) }
}
