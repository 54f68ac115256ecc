// Sentences of the server have times in UTC, for the command line and for mails. The page shows
// them in the time zone of the browser, as all other times.
import { clock, moment } from './format'

/** A part of a sentence: plain text, or a moment. */
export type Piece = string | { at: string; shown: string }

const times = /(?:(\d{4}-\d\d-\d\d) )?(\d\d:\d\d:\d\d) UTC/g
const dayMs = 24 * 3600_000

/**
 * Splits a sentence at its moments. A time without a date is the one that is closest to `near`; a
 * moment of another day is shown with its date. Times within quoted texts, such as a line of the
 * log, are not the server's and stay as they are.
 */
export function pieces(text: string, near: string | null | undefined, now: number, quoted: string[] = []): Piece[] {
  const out: Piece[] = []
  const quotes = quoted.flatMap((q) => placesOf(q, text))
  let end = 0
  for (const m of text.matchAll(times)) {
    if (quotes.some(([from, to]) => m.index >= from && m.index + m[0].length <= to)) continue
    const at = m[1] ? Date.parse(`${m[1]}T${m[2]}Z`) : closest(m[2]!, Date.parse(near ?? '') || now)
    if (Number.isNaN(at)) continue
    const iso = new Date(at).toISOString()
    if (m.index > end) out.push(text.slice(end, m.index))
    out.push({ at: iso, shown: shown(iso, now) })
    end = m.index + m[0].length
  }
  if (end < text.length) out.push(text.slice(end))
  return out
}

/** The same as plain text, for titles and lists. */
export function inLocalTime(text: string, near: string | null | undefined, now: number, quoted: string[] = []): string {
  return pieces(text, near, now, quoted)
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

/** The moment with a time of day in UTC that is closest to another one. */
function closest(time: string, near: number): number {
  const today = Date.parse(new Date(near).toISOString().slice(0, 10) + `T${time}Z`)
  return [today - dayMs, today, today + dayMs].reduce((best, t) => (Math.abs(t - near) < Math.abs(best - near) ? t : best))
}

function shown(iso: string, now: number): string {
  const today = new Date(iso).toDateString() === new Date(now).toDateString()
  return today ? clock(iso) : moment(iso, now).replace(/ \d\d:\d\d$/, '') + ' ' + clock(iso)
}

