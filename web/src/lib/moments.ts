// Sentences of the server have times in UTC, for the command line and for mails. The page shows
// them in the time zone of the browser, as all other times: sentence_times of the API names them.
import type { SentenceTime } from './api/types'
import { clock, moment } from './format'

/** A part of a sentence: plain text, or a moment. */
export type Piece = string | { at: string; shown: string }

/**
 * Splits a sentence at its moments. A moment of another day is shown with its date. What is in
 * quoted texts, such as a line of the log, is not the server's and stays as it is.
 */
export function pieces(text: string, times: SentenceTime[] | null | undefined, now: number, quoted: string[] = []): Piece[] {
  const taken = quoted.flatMap((q) => placesOf(q, text))
  const found: { from: number; to: number; at: string }[] = []
  // A time with its date comes before one without, which may be a part of it.
  for (const t of (times ?? []).toSorted((a, b) => b.text.length - a.text.length)) {
    for (const [from, to] of placesOf(t.text, text)) {
      if (taken.some(([begin, end]) => from >= begin && to <= end)) continue
      taken.push([from, to])
      found.push({ from, to, at: t.at })
    }
  }
  const out: Piece[] = []
  let end = 0
  for (const f of found.toSorted((a, b) => a.from - b.from)) {
    if (f.from > end) out.push(text.slice(end, f.from))
    out.push({ at: f.at, shown: shown(f.at, now) })
    end = f.to
  }
  if (end < text.length) out.push(text.slice(end))
  return out
}

/** The same as plain text, for titles and lists. */
export function inLocalTime(text: string, times: SentenceTime[] | null | undefined, now: number, quoted: string[] = []): string {
  return pieces(text, times, now, quoted)
    .map((p) => (typeof p === 'string' ? p : p.shown))
    .join('')
}

/** Where a part occurs in a text: the offsets at which each occurrence begins and ends. */
function placesOf(part: string, text: string): [number, number][] {
  const places: [number, number][] = []
  if (part === '') return places
  for (let i = text.indexOf(part); i >= 0; i = text.indexOf(part, i + part.length)) places.push([i, i + part.length])
  return places
}

function shown(iso: string, now: number): string {
  const today = new Date(iso).toDateString() === new Date(now).toDateString()
  return today ? clock(iso) : moment(iso, now).replace(/ \d\d:\d\d$/, '') + ' ' + clock(iso)
}
