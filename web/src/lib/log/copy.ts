import type { LogLine } from '../api/types'
import { draw } from './terminal'
import { textOf } from './window'

/** A place in the text of a log: a line, and how many of its characters are before it. */
export interface TextPlace {
  n: number
  offset: number
}

/** The most text that is copied; the download has the rest. */
export const maxCopyLength = 10 << 20
const linesAtOnce = 5000

export class TooLongError extends Error {
  constructor() {
    super('More than 10 MB are selected. Download the log instead.')
  }
}

/** The two ends of a selection, the earlier one first. */
export function ordered(a: TextPlace, b: TextPlace): [TextPlace, TextPlace] {
  return a.n < b.n || (a.n === b.n && a.offset <= b.offset) ? [a, b] : [b, a]
}

/** The text between two places of the lines, as it is drawn: without colours and overwritten states. */
export function textBetween(lines: LogLine[], from: TextPlace, to: TextPlace): string {
  return lines
    .filter((l) => l.n >= from.n && l.n <= to.n)
    .map((l) => {
      const text = draw(textOf(l), { most: Infinity }).spans.map((s) => s.text).join('')
      return text.slice(l.n === from.n ? from.offset : 0, l.n === to.n ? to.offset : undefined)
    })
    .join('\n')
}

/** Reads the text between two places. Throws a TooLongError if it is too long. */
export async function readBetween(read: (from: number, lines: number) => Promise<LogLine[]>, from: TextPlace, to: TextPlace): Promise<string> {
  const parts: string[] = []
  let size = 0
  for (let n = from.n; n <= to.n; n += linesAtOnce) {
    const last = Math.min(to.n, n + linesAtOnce - 1)
    const lines = await read(n, last - n + 1)
    if (lines.length === 0) break // the log is shorter, or retention removed the rest
    const part = textBetween(lines, from, to)
    if ((size += part.length + 1) > maxCopyLength) throw new TooLongError()
    parts.push(part)
  }
  return parts.join('\n')
}
