// Figures as text for people. Pure functions: the clock is an argument.

const minute = 60
const hour = 60 * minute
const day = 24 * hour

/** A duration as two units at most: "21 ms", "1.4 s", "41 s", "12 m 40 s", "2 h 10 m", "3 d 4 h". */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–'
  const s = Math.max(0, seconds)
  if (s < 0.9995) return `${Math.round(s * 1000)} ms`
  if (s < 9.95) return `${(Math.round(s * 10) / 10).toString()} s`
  const whole = Math.round(s)
  if (whole < minute) return `${whole} s`
  if (whole < hour) return two(whole, minute, 'm', 1, 's')
  if (whole < day) return two(whole, hour, 'h', minute, 'm')
  return two(whole, day, 'd', hour, 'h')
}

/** A duration without tenths, for values that change each second. */
export function ticking(seconds: number): string {
  return seconds < 10 ? `${Math.max(0, Math.floor(seconds))} s` : duration(Math.floor(seconds))
}

function two(total: number, big: number, bigName: string, small: number, smallName: string): string {
  const high = Math.floor(total / big)
  const low = Math.floor((total % big) / small)
  return low === 0 ? `${high} ${bigName}` : `${high} ${bigName} ${low} ${smallName}`
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** Bytes in binary units with three figures: "512 B", "15.9 GiB". */
export function bytes(n: number): string {
  let v = Math.max(0, n)
  let unit = 0
  while (v >= 999.5 && unit < byteUnits.length - 1) {
    v /= 1024
    unit++
  }
  return `${unit === 0 ? Math.round(v) : threeFigures(v)} ${byteUnits[unit]}`
}

function threeFigures(v: number): string {
  if (v >= 99.95) return Math.round(v).toString()
  if (v >= 9.995) return (Math.round(v * 10) / 10).toString()
  return (Math.round(v * 100) / 100).toString()
}

/** Processor cores in use: "0.02", "7.8", "64". */
export function cores(n: number): string {
  if (n < 0.005) return '0'
  return threeFigures(n)
}

export function count(n: number): string {
  return n.toLocaleString('en-US')
}

export function plural(n: number, one: string, many = one + 's'): string {
  return `${count(n)} ${n === 1 ? one : many}`
}

/** How long ago, as of now: "now", "2 s ago", "3 h ago". */
export function ago(iso: string, now: number): string {
  const s = (now - Date.parse(iso)) / 1000
  if (!Number.isFinite(s)) return '–'
  if (s < 1.5) return 'now'
  if (s < minute) return `${Math.floor(s)} s ago`
  if (s < hour) return `${Math.floor(s / minute)} m ago`
  if (s < day) return `${Math.floor(s / hour)} h ago`
  return `${Math.floor(s / day)} d ago`
}

/** Seconds between two moments; the end may be open. */
export function between(from: string | null, to: string | null, now: number): number {
  if (!from) return NaN
  return ((to ? Date.parse(to) : now) - Date.parse(from)) / 1000
}

const pad = (n: number, width = 2) => String(n).padStart(width, '0')

/** The time of day, for log lines: local "15:04:05" or UTC. */
export function clock(iso: string, utc = false): string {
  const d = new Date(iso)
  if (Number.isNaN(d.getTime())) return '--:--:--'
  return utc
    ? `${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}:${pad(d.getUTCSeconds())}`
    : `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`
}

/** Time since the start of the attempt, for log lines: "+0:00:41.2". */
export function offset(iso: string, startIso: string | null): string {
  const ms = startIso ? Date.parse(iso) - Date.parse(startIso) : NaN
  if (!Number.isFinite(ms)) return '+?'
  const s = Math.max(0, ms) / 1000
  return `+${Math.floor(s / hour)}:${pad(Math.floor((s % hour) / minute))}:${pad(Math.floor(s % minute))}.${Math.floor((s * 10) % 10)}`
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** A moment, as short as possible: the time today, day and time this year, else the date. */
export function moment(iso: string | null, now: number): string {
  const d = new Date(iso ?? NaN)
  if (Number.isNaN(d.getTime())) return '–'
  const today = new Date(now)
  const time = `${pad(d.getHours())}:${pad(d.getMinutes())}`
  if (d.toDateString() === today.toDateString()) return time
  const date = `${d.getDate()} ${months[d.getMonth()]}`
  return d.getFullYear() === today.getFullYear() ? `${date} ${time}` : `${date} ${d.getFullYear()}`
}

/** A moment in UTC to the second, for a title. */
export function utc(iso: string | null): string {
  const d = new Date(iso ?? NaN)
  return Number.isNaN(d.getTime()) ? '' : d.toISOString().replace('T', ' ').replace(/\.\d+Z$/, ' UTC')
}
