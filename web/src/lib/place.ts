import type { Place } from './api/client'

/** The offsets of the characters from a place in a text to the end of its line; null when the text does not have the place. */
export function rangeAt(place: Place, text: string): { from: number; to: number } | null {
  const lines = text.split('\n')
  const line = lines[place.line - 1]
  if (line === undefined) return null
  const start = lines.slice(0, place.line - 1).reduce((n, l) => n + l.length + 1, 0)
  // The server counts characters, a text field counts UTF-16 code units.
  const before = [...line].slice(0, Math.max(0, place.column - 1)).join('').length
  return { from: start + before, to: start + line.length }
}
