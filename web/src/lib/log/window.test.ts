import { expect, test, vi } from 'vitest'
import type { LogLine } from '../api/types'
import { retryMs, LogWindow, parseRecords, textOf, type ReadLines, type Record } from './window'

/** A log of n lines, every third on stderr, with a gap after line 3. */
function server(n: number) {
  const state = { lines: n, open: false, requests: [] as object[] }
  const gap = { step: 0, stream: 'stdout' as const, at_bytes: 30, bytes: 10, lines: 2, reason: 'quota', at: '' }
  const read: ReadLines = async (q) => {
    state.requests.push(q)
    const from = q.tail ? Math.max(1, state.lines - q.tail + 1) : q.from_line!
    const to = q.tail ? state.lines : Math.min(state.lines, from + q.lines! - 1)
    const records: Record[] = []
    if (from === 4) records.push({ gap })
    for (let i = from; i <= to; i++) {
      const line: LogLine = { n: i, at: '', step: i <= 2 ? 0 : 1, stream: i % 3 ? 'stdout' : 'stderr', text: `line ${i}` }
      if (state.open && i === state.lines) line.open = true
      records.push(line)
      if (i === 3) records.push({ gap })
    }
    return { records, total: state.lines }
  }
  return { state, read }
}

async function changedTimes(changed: ReturnType<typeof vi.fn>, times: number) {
  await vi.waitFor(() => expect(changed.mock.calls.length).toBeGreaterThanOrEqual(times), { interval: 1 })
}

test('opens at the end, then reads the lines in view, once', async () => {
  const { state, read } = server(2000)
  const changed = vi.fn()
  const w = new LogWindow(read, changed)
  await w.tail(200)
  expect(w.total).toBe(2000)
  expect(w.line(1801)?.text).toBe('line 1801')
  expect(w.line(1800)).toBeUndefined()
  w.want(1701, 2000)
  w.want(1701, 2000)
  await changedTimes(changed, 2)
  expect(w.line(1501)?.text).toBe('line 1501')
  w.want(1701, 2000)
  expect(state.requests).toEqual([{ tail: 200 }, { from_line: 1501, lines: 500 }])
})

test('rows: placeholders, steps, gaps in place', async () => {
  const { read } = server(6)
  const w = new LogWindow(read, () => {})
  w.total = 6
  expect(w.rows(0).map((r) => r.line)).toEqual(Array(6).fill(undefined))
  await w.tail(6)
  const rows = w.rows(0)
  expect(rows.map((r) => (r.gap ? 'gap' : r.n))).toEqual([1, 2, 3, 'gap', 4, 5, 6])
  expect(rows.filter((r) => r.stepStart).map((r) => r.n)).toEqual([1, 3])
  // The same gap from another answer is not shown twice.
  await w.tail(3)
  expect(w.rows(0).filter((r) => r.gap)).toHaveLength(1)
})

test('folded lines are one row, and are not read', async () => {
  const { state, read } = server(3000)
  const changed = vi.fn()
  const w = new LogWindow(read, changed)
  await w.tail(10)
  w.fold([{ from: 2, to: 2600 }])
  expect(w.size).toBe(402)
  expect(w.slotOf(2601)).toBe(3)
  w.want(1, 50)
  await changedTimes(changed, 4)
  expect(state.requests).toEqual([{ tail: 10 }, { from_line: 1, lines: 500 }, { from_line: 2501, lines: 500 }])
  const rows = w.rows(0)
  expect(rows.slice(0, 3).map((r) => [r.n, r.fold?.to])).toEqual([[1, undefined], [2, 2600], [2601, undefined]])
})

test('a whole line keeps its identity, an open one is replaced', async () => {
  const { state, read } = server(3)
  state.open = true
  const w = new LogWindow(read, () => {})
  await w.tail(3)
  const second = w.line(2)
  const third = w.line(3)
  expect(third?.open).toBe(true)
  state.open = false
  await w.tail(3)
  expect(w.line(2)).toBe(second)
  expect(w.line(3)?.open).toBeUndefined()
})

test('open lines are dropped so that they are read again', async () => {
  const { state, read } = server(3)
  state.open = true
  const w = new LogWindow(read, () => {})
  await w.tail(3)
  w.dropOpen()
  expect(w.line(3)).toBeUndefined()
  expect(w.line(2)).toBeDefined()
})

test('memory stays bounded however far one scrolls', async () => {
  const { read } = server(100_000)
  const changed = vi.fn()
  const w = new LogWindow(read, changed)
  await w.tail(1)
  for (let n = 1; n < 100_000; n += 500) {
    const before = changed.mock.calls.length
    w.want(n, n + 1)
    await changedTimes(changed, before + 1)
  }
  let held = 0
  for (let n = 1; n <= 100_000; n++) if (w.line(n)) held++
  expect(held).toBeLessThanOrEqual(41_000)
  expect(w.line(99_900)).toBeDefined()
})

test('an error is kept for the page and goes away with the next success', async () => {
  const { read } = server(5)
  let fail = true
  const changed = vi.fn()
  const w = new LogWindow((q, s) => (fail ? Promise.reject(new Error('away')) : read(q, s)), changed)
  await w.tail(5)
  expect(w.error?.message).toBe('away')
  fail = false
  await w.tail(5)
  expect(w.error).toBeNull()
  expect(changed).toHaveBeenCalledTimes(2)
})

test('nothing is reported after close', async () => {
  const { read } = server(5)
  const changed = vi.fn()
  const w = new LogWindow(read, changed)
  const going = w.tail(5)
  w.close()
  await going
  expect(changed).not.toHaveBeenCalled()
})

test('records and bytes', () => {
  expect(parseRecords('{"n":1}\n{"n":2}\n{"n":')).toEqual([{ n: 1 }, { n: 2 }])
  expect(textOf({ n: 1, at: '', step: 0, stream: 'stdout', base64: btoa('a\xffb') })).toBe('a\ufffdb')
})

test('lines that could not be read are tried again', async () => {
  vi.useFakeTimers()
  const { read } = server(2000)
  let fail = false
  const w = new LogWindow((q, s) => (fail ? Promise.reject(new Error('away')) : read(q, s)), () => {})
  await w.tail(200)
  fail = true
  w.want(1, 50)
  await vi.advanceTimersByTimeAsync(retryMs + 10)
  expect([w.line(1), w.error?.message]).toEqual([undefined, 'away'])
  fail = false
  await vi.advanceTimersByTimeAsync(retryMs + 10)
  expect([w.line(1)?.n, w.error]).toEqual([1, null])
  w.close()
  vi.useRealTimers()
})

test('a permanent refusal is not tried again', async () => {
  vi.useFakeTimers()
  let requests = 0
  const refused = Object.assign(new Error('no'), { temporary: false })
  const w = new LogWindow(() => (requests++, Promise.reject(refused)), () => {})
  await w.tail(5)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(requests).toBe(1)
  vi.useRealTimers()
})
