/** A range of lines, both ends in it. */
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

export function formatHash(r: LineRange): string {
  return r.from === r.to ? `#L${r.from}` : `#L${r.from}-L${r.to}`
}

/** What a click on a line's number selects: with shift, the range from the one before. */
export function select(before: LineRange | null, line: number, extend: boolean): LineRange {
  if (!extend || !before) return { from: line, to: line }
  return { from: Math.min(before.from, line), to: Math.max(before.from, line) }
}
