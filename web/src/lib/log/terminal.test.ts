import { describe, expect, test } from 'vitest'
import { draw } from './terminal'

const text = (line: string, options = {}) =>
  draw(line, options)
    .spans.map((s) => s.text)
    .join('')

test.each([
  ['plain', 'plain', 'plain'],
  ['a CR before the newline', 'line\r', 'line'],
  ['a progress bar', ' 10%\r 50%\r100%', '100%'],
  ['a shorter last state covers only its part', 'loading...\rdone', 'doneing...'],
  ['erase to the end', 'loading...\r\x1b[Kdone', 'done'],
  ['erase the line', 'loading...\x1b[2K\rdone', 'done'],
  ['a state that is overwritten by nothing yet', ' 10%\r 50%\r', ' 50%'],
  ['backspaces', 'abc\b\bX', 'aXc'],
  ['column', 'abc\x1b[1GX', 'Xbc'],
  ['forward leaves blanks', 'a\x1b[3Cb', 'a   b'],
  ['cursor sequences without effect', '\x1b[?25l\x1b[2Aup\x1b[?25h', 'up'],
  ['an astral character is one cell', '😀b\rx', 'xb'],
  ['a window title', '\x1b]0;title\x07text', 'text'],
  ['a title that never ends', 'text\x1b]0;title', 'text'],
  ['charset choice', '\x1b(Btext', 'text'],
  ['a lone escape at the end', 'text\x1b', 'text'],
])('%s', (_name, line, want) => expect(text(line)).toBe(want))

test('colours become classes', () => {
  expect(draw('a\x1b[31mb\x1b[1;42mc\x1b[0md').spans).toEqual([
    { text: 'a', cls: '' },
    { text: 'b', cls: 'ansi-1' },
    { text: 'c', cls: 'ansi-1 ansi-bg-2 ansi-bold' },
    { text: 'd', cls: '' },
  ])
  expect(draw('\x1b[91mx\x1b[7my\x1b[m').spans.map((s) => s.cls)).toEqual(['ansi-9', 'ansi-bg-9'])
  expect(draw('\x1b[38;5;196mx').spans[0]?.cls).toBe('ansi-9')
  expect(draw('\x1b[38;2;20;20;20mx').spans[0]?.cls).toBe('ansi-0')
  expect(draw('\x1b[48;2;250;250;250;1mx').spans[0]?.cls).toBe('ansi-bg-15 ansi-bold')
  expect(draw('\x1b[38:5:2mx').spans[0]?.cls).toBe('ansi-2')
})

test('overwritten states are counted', () => {
  expect(draw('1\r2\r3').overwritten).toBe(2)
  expect(draw('1\r2\r3\r').overwritten).toBe(2)
  expect(draw('\r1').overwritten).toBe(0)
  expect(draw('plain').overwritten).toBe(0)
})

describe('hostile output', () => {
  test('markup stays text', () => {
    expect(text('<script>alert(1)</script>')).toBe('<script>alert(1)</script>')
  })
  test('a link is dropped, its text stays', () => {
    expect(text('\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07 me')).toBe('click me')
    expect(text('\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\')).toBe('click')
  })
  test('invisible characters are written out', () => {
    expect(draw('a\u202eb\u200bc\x00').spans).toEqual([
      { text: 'a', cls: '' },
      { text: 'U+202E', cls: 'ctl' },
      { text: 'b', cls: '' },
      { text: 'ZWSP', cls: 'ctl' },
      { text: 'c', cls: '' },
      { text: 'NUL', cls: 'ctl' },
    ])
  })
  test('raw shows what was not applied', () => {
    expect(text('1\r\x1b[31m2', { raw: true })).toBe('1CRESC[31m2')
  })
  test('a line of a megabyte is cut and says how much', () => {
    const d = draw('x'.repeat(1_000_000))
    expect(d.spans[0]?.text.length).toBe(8000)
    expect(d.cut).toBe(992_000)
    const colours = draw('\x1b[31m' + 'x'.repeat(1_000_000))
    expect(colours.spans.reduce((n, s) => n + s.text.length, 0)).toBe(8000)
    expect(colours.cut).toBeGreaterThan(990_000)
  })
  test('a progress bar of a megabyte ends at its last state', () => {
    const d = draw(Array.from({ length: 100_000 }, (_, i) => `step ${i}`).join('\r'))
    expect(d.spans[0]?.text).toBe('step 99999')
    expect(d.overwritten).toBe(99_999)
  })
  test('a far cursor does not make a long line', () => {
    expect(draw('\x1b[999999999Cx').spans[0]!.text.length).toBeLessThan(8002)
    expect(draw('\x1b[999999999Gx').spans[0]!.text.length).toBeLessThan(8002)
  })
})
