// One line as a terminal shows it: with colours, and progress bars in their last state. The result
// is text with class names, never HTML, so no output of a job can become markup, a link or a
// script. Other colours than the terminal's 16 become the nearest of these, which follow the
// theme and stay readable.

export interface Span {
  text: string
  cls: string
}

export interface Drawn {
  spans: Span[]
  /** How often the line was overwritten, as by a progress bar. */
  overwritten: number
  /** Characters omitted at the end, because the line is too long to draw. */
  cut: number
}

export const drawLimit = 8_000

interface Style {
  fg: number // -1 default, 0–15
  bg: number
  bold: boolean
  dim: boolean
  italic: boolean
  underline: boolean
  inverse: boolean
}

const plain: Style = { fg: -1, bg: -1, bold: false, dim: false, italic: false, underline: false, inverse: false }

// CSI …, OSC … ended by BEL or ST (or the line), other string sequences, charset choices,
// two-character escapes.
const escape = /\x1b\[([0-9:;<=>?]*)[ -/]*([@-~])|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[ -/]+[0-~]?|\x1b./y
// Characters that are invisible, reorder text or would move a real cursor.
const invisible = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/

/** Draws a line. With raw, carriage returns and escapes are shown and have no effect. */
export function draw(text: string, options: { raw?: boolean; most?: number } = {}): Drawn {
  const most = options.most ?? drawLimit
  const line = text.endsWith('\r') ? text.slice(0, -1) : text
  if (options.raw || !/[\x08\r\x1b]/.test(line)) {
    return { spans: visible(line.slice(0, most), ''), overwritten: 0, cut: Math.max(0, line.length - most) }
  }
  const { from, to, skipped } = scanned(line, most)
  const drawn = interpret(line.slice(from, to), most)
  drawn.overwritten += skipped
  drawn.cut += line.length - to
  return drawn
}

/**
 * The part of a very long line that is interpreted: the last states of a progress bar, and the
 * beginning of anything else.
 */
function scanned(line: string, most: number): { from: number; to: number; skipped: number } {
  const scanLimit = Math.max(64 * 1024, most)
  if (line.length <= scanLimit) return { from: 0, to: line.length, skipped: 0 }
  const back = line.indexOf('\r', line.length - scanLimit)
  if (back < 0) return { from: 0, to: scanLimit, skipped: 0 }
  let skipped = 0
  for (let i = line.indexOf('\r'); i >= 0 && i <= back; i = line.indexOf('\r', i + 1)) skipped++
  return { from: back + 1, to: line.length, skipped }
}

/** A line as cells with a cursor: enough of a terminal for colours and progress bars. */
function interpret(line: string, most: number): Drawn {
  const cells: { ch: string; cls: string }[] = []
  let col = 0
  let style = plain
  let cls = ''
  let overwritten = 0
  let wrote = false
  for (let i = 0; i < line.length; ) {
    const ch = line[i]!
    if (ch === '\x1b') {
      escape.lastIndex = i
      const m = escape.exec(line)
      if (!m) break // a lone escape at the end
      if (m[2] === 'm') {
        style = applySGR(style, m[1] ?? '')
        cls = className(style)
      } else if (m[2]) {
        col = moveCursor(m[2], m[1] ?? '', col, cells)
      }
      i += m[0].length
      continue
    }
    if (ch === '\r') {
      if (wrote) overwritten++
      wrote = false
      col = 0
      i++
      continue
    }
    if (ch === '\b') {
      col = Math.max(0, col - 1)
      i++
      continue
    }
    const code = line.codePointAt(i)!
    const char = String.fromCodePoint(code)
    while (cells.length < col) cells.push({ ch: ' ', cls: '' })
    cells[col++] = { ch: char, cls }
    wrote = true
    i += char.length
  }
  if (!wrote && overwritten > 0) overwritten-- // the last state was never overwritten
  return cutTo(join(cells), most, overwritten)
}

/** Applies the cursor sequences that progress bars use; others have no effect. */
function moveCursor(final: string, params: string, col: number, cells: { ch: string; cls: string }[]): number {
  const n = Number.parseInt(params, 10) || 0
  const by = Math.max(1, n)
  switch (final) {
    case 'K':
      if (n === 0) cells.length = Math.min(cells.length, col)
      else if (n === 2) cells.length = 0
      return col
    case 'G':
      return Math.min(by - 1, drawLimit)
    case 'C':
      return Math.min(col + by, drawLimit)
    case 'D':
      return Math.max(0, col - by)
    case 'J':
      if (n === 2) cells.length = 0
      return n === 2 ? 0 : col
  }
  return col
}

function applySGR(from: Style, params: string): Style {
  const s = { ...from }
  const codes = params === '' ? [0] : params.split(/[;:]/).map((p) => Number.parseInt(p, 10) || 0)
  for (let i = 0; i < codes.length; i++) {
    const c = codes[i]!
    if (c === 0) Object.assign(s, plain)
    else if (c === 1) s.bold = true
    else if (c === 2) s.dim = true
    else if (c === 3) s.italic = true
    else if (c === 4) s.underline = true
    else if (c === 7) s.inverse = true
    else if (c === 22) s.bold = s.dim = false
    else if (c === 23) s.italic = false
    else if (c === 24) s.underline = false
    else if (c === 27) s.inverse = false
    else if (c >= 30 && c <= 37) s.fg = c - 30
    else if (c === 39) s.fg = -1
    else if (c >= 40 && c <= 47) s.bg = c - 40
    else if (c === 49) s.bg = -1
    else if (c >= 90 && c <= 97) s.fg = c - 82
    else if (c >= 100 && c <= 107) s.bg = c - 92
    else if (c === 38 || c === 48) {
      const [colour, used] = extended(codes.slice(i + 1))
      if (c === 38) s.fg = colour
      else s.bg = colour
      i += used
    }
  }
  return s
}

/** Reads "5;N" or "2;R;G;B"; returns the nearest of the 16 colours and the number of codes. */
function extended(codes: number[]): [number, number] {
  if (codes[0] === 5) return [from256(codes[1] ?? 0), 2]
  if (codes[0] === 2) return [nearest(codes[1] ?? 0, codes[2] ?? 0, codes[3] ?? 0), 4]
  return [-1, 1]
}

function from256(n: number): number {
  if (n < 16) return n
  if (n >= 232) {
    const grey = 8 + (n - 232) * 10
    return nearest(grey, grey, grey)
  }
  const level = (v: number) => (v === 0 ? 0 : 55 + v * 40)
  const c = n - 16
  return nearest(level(Math.floor(c / 36)), level(Math.floor(c / 6) % 6), level(c % 6))
}

/** The nearest of the 16 colours: greys by brightness, others by their strongest channels. */
function nearest(r: number, g: number, b: number): number {
  const max = Math.max(r, g, b)
  const min = Math.min(r, g, b)
  if (max - min < 40) {
    if (max < 48) return 0
    if (max < 144) return 8
    return max < 216 ? 7 : 15
  }
  const half = (max + min) / 2
  const hue = (r > half ? 1 : 0) | (g > half ? 2 : 0) | (b > half ? 4 : 0)
  return max > 200 ? hue + 8 : hue
}

function className(s: Style): string {
  const names: string[] = []
  const [fg, bg] = s.inverse ? [s.bg, s.fg] : [s.fg, s.bg]
  if (s.inverse && s.fg < 0 && s.bg < 0) names.push('ansi-inverse')
  if (fg >= 0) names.push(`ansi-${fg}`)
  if (bg >= 0) names.push(`ansi-bg-${bg}`)
  if (s.bold) names.push('ansi-bold')
  if (s.dim) names.push('ansi-dim')
  if (s.italic) names.push('ansi-italic')
  if (s.underline) names.push('ansi-underline')
  return names.join(' ')
}

function join(cells: { ch: string; cls: string }[]): Span[] {
  const spans: Span[] = []
  let run = ''
  let cls = ''
  for (const cell of cells) {
    if (cell.cls !== cls) {
      if (run) spans.push(...visible(run, cls))
      run = ''
      cls = cell.cls
    }
    run += cell.ch
  }
  if (run) spans.push(...visible(run, cls))
  return spans
}

/** Shows invisible characters as their code. */
function visible(text: string, cls: string): Span[] {
  if (!invisible.test(text)) return text ? [{ text, cls }] : []
  const spans: Span[] = []
  let from = 0
  for (let i = 0; i < text.length; i++) {
    if (!invisible.test(text[i]!)) continue
    if (i > from) spans.push({ text: text.slice(from, i), cls })
    spans.push({ text: codeName(text.charCodeAt(i)), cls: 'ctl' })
    from = i + 1
  }
  if (from < text.length) spans.push({ text: text.slice(from), cls })
  return spans
}

function codeName(code: number): string {
  const short: Record<number, string> = { 0: 'NUL', 7: 'BEL', 8: 'BS', 13: 'CR', 27: 'ESC', 0x200b: 'ZWSP', 0xfeff: 'BOM' }
  return short[code] ?? 'U+' + code.toString(16).toUpperCase().padStart(4, '0')
}

function cutTo(spans: Span[], most: number, overwritten: number): Drawn {
  let left = most
  let cut = 0
  const kept: Span[] = []
  for (const span of spans) {
    if (span.text.length <= left) {
      kept.push(span)
      left -= span.text.length
      continue
    }
    if (left > 0) kept.push({ text: span.text.slice(0, left), cls: span.cls })
    cut += span.text.length - left
    left = 0
  }
  return { spans: kept, overwritten, cut }
}
