/** A range of lines, inclusive. */
export interface LineRange {
  from: number
  to: number
}

/** Reads "#L123" or "#L123-L130" (the second L may be missing); null for anything else. */
export function parseHash(hash: string): LineRange | null {
  const m = /^#?L(\d{1,15})(?:-L?(\d{1,15}))?$/.exec(hash)
  if (!m) return null
  const a = Number(m[1])
  const b = m[2] === undefined ? a : Number(m[2])
  const range = { from: Math.min(a, b), to: Math.max(a, b) }
  return range.from >= 1 ? range : null
}

/** The attempt that an address names; 0 for none. */
export function parseAttempt(search: string): number {
  const text = new URLSearchParams(search).get('attempt') ?? ''
  return /^[1-9]\d{0,5}$/.test(text) ? Number(text) : 0
}

/**
 * The address of some lines of an attempt. It always names the attempt, because the same number
 * is another line after a retry.
 */
export function linesURL(href: string, attempt: number, range: LineRange): URL {
  const url = new URL(href)
  url.searchParams.set('attempt', String(attempt))
  url.hash = formatHash(range)
  return url
}

/** The address of an attempt, without lines; of the last one when attempt is 0. */
export function attemptURL(href: string, attempt: number): URL {
  const url = new URL(href)
  if (attempt > 0) url.searchParams.set('attempt', String(attempt))
  else url.searchParams.delete('attempt')
  url.hash = ''
  return url
}

export function formatHash(r: LineRange): string {
  return r.from === r.to ? `#L${r.from}` : `#L${r.from}-L${r.to}`
}

/** What a click on a line's number selects: with shift, the range from the selection before. */
export function select(before: LineRange | null, line: number, extend: boolean): LineRange {
  if (!extend || !before) return { from: line, to: line }
  return { from: Math.min(before.from, line), to: Math.max(before.from, line) }
}
