import type { CalendarCount, CalendarDay, CalendarResult, CalendarTime, State } from './api/types'
import { plural } from './format'
import { styleOf, type Tone } from './state'

/** What became of a time has a colour, a shape and a word; ui/ResultIcon draws the shapes. */
const resultStyles: Record<CalendarResult, { word: string; tone: Tone }> = {
  ran: { word: 'ran', tone: 'good' },
  ran_late: { word: 'ran late', tone: 'warn' },
  skipped: { word: 'skipped', tone: 'warn' },
  missed: { word: 'missed', tone: 'bad' },
  paused: { word: 'paused', tone: 'quiet' },
  refused: { word: 'refused', tone: 'bad' },
  due: { word: 'due', tone: 'accent' },
  planned: { word: 'planned', tone: 'quiet' },
}

export function resultStyle(result: CalendarResult): { word: string; tone: Tone } {
  return resultStyles[result] ?? { word: result, tone: 'quiet' }
}

/** What is shown of a time: its result and, if a run was made, what the run's state is. */
export type Outcome = Pick<CalendarCount, 'result' | 'state'>

/** "succeeded", "failed late", "running", "skipped", "missed, then succeeded", "planned". */
export function outcomeWord(o: Outcome): string {
  const word = resultStyle(o.result).word
  if (!o.state) return word
  const state = styleOf(o.state as State).word
  return o.result === 'ran' ? state : o.result === 'ran_late' ? state + ' late' : `${word}, then ${state}`
}

/** How much people want to know of it: what went wrong first. */
function weight(o: Outcome): number {
  if (o.state === 'failed' || o.state === 'timed_out' || o.state === 'lost') return 0
  return ['refused', 'missed', 'skipped', 'due', 'ran_late', 'paused', 'ran', 'planned'].indexOf(o.result) + 1
}

export function byWeight(counts: CalendarCount[]): CalendarCount[] {
  return counts.toSorted((a, b) => weight(a) - weight(b) || b.count - a.count)
}

/** The counts of some times. Those to come of a paused schedule are paused. */
export function countsOf(times: CalendarTime[]): CalendarCount[] {
  const counts = new Map<string, CalendarCount>()
  for (const { result: became, state, count, paused } of times) {
    const result = paused ? 'paused' : became
    const key = result + ' ' + (state ?? '')
    const one = counts.get(key)
    if (one) one.count += count
    else counts.set(key, { result, state, count })
  }
  return byWeight([...counts.values()])
}

export function countsText(counts: CalendarCount[]): string {
  return counts.map((c) => `${c.count.toLocaleString('en-US')} ${outcomeWord(c)}`).join(', ')
}

/** How many times there are on the day that has most. */
export function mostPerDay(days: CalendarDay[]): number {
  return Math.max(0, ...days.map((d) => d.counts.reduce((sum, c) => sum + c.count, 0)))
}

/** More times than this are counted in the cell of a day, and not shown one by one. */
export const mostInCell = 3

// Times come with the offset of the calendar's zone: the text is what a clock there shows.
export const dayOf = (at: string) => at.slice(0, 10)
export const clockOf = (at: string) => at.slice(11, 16)
const offsetOf = (at: string) => at.slice(19).replace(/^\.\d+/, '').replace('Z', '+00:00')

/** An identity of a time within a calendar. */
export const keyOf = (t: CalendarTime) => `${t.at} ${t.schedule ?? 'expected'}`

const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

const utcOf = (day: string) => new Date(day + 'T00:00:00Z')

/** "Tue 3 Nov 2026". */
export function dayText(day: string): string {
  const d = utcOf(day)
  return `${weekdays[d.getUTCDay()]} ${d.getUTCDate()} ${months[d.getUTCMonth()]} ${d.getUTCFullYear()}`
}

/** "Nov 2026" of a day. */
export function monthText(day: string): string {
  return `${months[Number(day.slice(5, 7)) - 1]} ${day.slice(0, 4)}`
}

export function addDays(day: string, n: number): string {
  const d = utcOf(day)
  d.setUTCDate(d.getUTCDate() + n)
  return d.toISOString().slice(0, 10)
}

/** The first day of the month that is n months after that of a day. */
export function addMonths(day: string, n: number): string {
  const d = utcOf(day.slice(0, 7) + '-01')
  d.setUTCMonth(d.getUTCMonth() + n)
  return d.toISOString().slice(0, 10)
}

/** The weeks of the month of the first day, from Monday on; null is a day of another month. */
export function weeksOf(days: CalendarDay[]): (CalendarDay | null)[][] {
  const first = days[0]
  if (!first) return []
  const cells: (CalendarDay | null)[] = Array<null>((utcOf(first.day).getUTCDay() + 6) % 7).fill(null)
  cells.push(...days.filter((d) => d.day.slice(0, 7) === first.day.slice(0, 7)))
  while (cells.length % 7 !== 0) cells.push(null)
  return Array.from({ length: cells.length / 7 }, (_, i) => cells.slice(7 * i, 7 * i + 7))
}

/** The day that it is now, of those; null if it is another one. */
export function todayOf(days: CalendarDay[], now: number): string | null {
  const begun = days.filter((d) => Date.parse(d.at) <= now)
  const last = begun.at(-1)
  return last && (begun.length < days.length || now - Date.parse(last.at) < 86_400_000) ? last.day : null
}

export interface Hour {
  /** "02:00", with the offset if the day has the hour twice. */
  name: string
  times: CalendarTime[]
}

/** The hours of a day that have times. */
export function hoursOf(times: CalendarTime[]): Hour[] {
  const hours = new Map<string, CalendarTime[]>()
  for (const t of times) {
    const key = `${t.at.slice(11, 13)}:00 ${offsetOf(t.at)}`
    hours.set(key, [...(hours.get(key) ?? []), t])
  }
  const names = [...hours.keys()].map((k) => k.slice(0, 5))
  return [...hours].map(([key, its]) => ({ name: names.filter((n) => n === key.slice(0, 5)).length > 1 ? key : key.slice(0, 5), times: its }))
}

/** Whether no two times of an hour are in the same minute. */
export function minutesDiffer(hours: Hour[]): boolean {
  return hours.every((h) => new Set(h.times.map((t) => clockOf(t.at))).size === h.times.length)
}

/** "+1 h" or "−30 min". */
export function shiftText(minutes: number): string {
  const n = Math.abs(minutes)
  return `${minutes < 0 ? '−' : '+'}${n % 60 === 0 ? `${n / 60} h` : `${n} min`}`
}

/** Everything about a time in one sentence, for those who do not see its place. */
export function timeLabel(t: CalendarTime): string {
  const until = t.count > 1 ? ` to ${dayText(dayOf(t.last))} ${clockOf(t.last)}, ${plural(t.count, 'time')}` : ''
  const by = t.expected ? ', expected' : ''
  const run = t.run ? `, run #${t.number}` : ''
  return `${dayText(dayOf(t.at))} ${clockOf(t.at)}${until}${by}: ${outcomeWord(t)}${run}${t.paused ? ', paused' : ''}${t.why ? ': ' + t.why : ''}${t.change ? ` (${t.change})` : ''}`
}
