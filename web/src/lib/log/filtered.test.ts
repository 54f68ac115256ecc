import { expect, test, vi } from 'vitest'
import type { LogLine } from '../api/types'
import { ApiError } from '../api/client'
import { chunkLines, retryMs } from './window'
import { FilteredWindow, type ReadTail } from './filtered'

/** A log in which every tenth line is on stderr. */
function server(lines: number) {
  const state = { lines, requests: [] as number[] }
  const read: ReadTail = async (q) => {
    state.requests.push(q.tail)
    const all: LogLine[] = []
    for (let n = 10; n <= state.lines; n += 10) all.push({ n, at: '', step: 0, stream: 'stderr', text: `e${n}` })
    return { records: all.slice(-q.tail), total: state.lines }
  }
  return { state, read }
}

const numbers = (w: FilteredWindow) => {
  const out: number[] = []
  for (let c = 0; c * chunkLines < w.size; c++) out.push(...w.rows(c).map((r) => r.n))
  return out
}

test('grows backwards as it is viewed, until there is no more', async () => {
  const { state, read } = server(25_000)
  const changed = vi.fn()
  const w = new FilteredWindow(read, changed, 'stderr')
  await w.tail(200)
  expect(w.size).toBe(1000)
  expect(w.slotOf(25_000)).toBe(1000)
  w.want(900)
  expect(state.requests).toEqual([1000])
  w.want(50)
  w.want(50)
  await vi.waitFor(() => expect(changed).toHaveBeenCalledTimes(2), { interval: 1 })
  expect(w.size).toBe(2000)
  expect(w.prepended).toBe(1000)
  w.want(1)
  await vi.waitFor(() => expect(changed).toHaveBeenCalledTimes(3), { interval: 1 })
  w.want(1)
  expect(state.requests).toEqual([1000, 2000, 4000])
  expect(numbers(w)).toEqual(Array.from({ length: 2500 }, (_, i) => (i + 1) * 10))
  expect(w.capped).toBe(false)
})

test('new lines are added once and in order', async () => {
  const { state, read } = server(1000)
  const w = new FilteredWindow(read, () => {}, 'stderr')
  await w.tail(200)
  state.lines = 1200
  await w.tail(50)
  expect(numbers(w)).toEqual(Array.from({ length: 120 }, (_, i) => (i + 1) * 10))
  expect(w.prepended).toBe(0)
})

test('when more lines were added than were read, no unknown lines are hidden in between', async () => {
  const { state, read } = server(1000)
  const w = new FilteredWindow(read, () => {}, 'stderr')
  await w.tail(200)
  state.lines = 5000
  await w.tail(50)
  expect(numbers(w)).toEqual(Array.from({ length: 50 }, (_, i) => 4510 + i * 10))
  await w.tail(5000)
  expect(numbers(w)).toHaveLength(500)
})

test('a line that arrives while older ones are read leaves them where they are', async () => {
  const { state, read } = server(5000)
  const w = new FilteredWindow(read, () => {}, 'stderr')
  await w.tail(200)
  expect(numbers(w)).toHaveLength(500)
  state.lines = 5010
  await w.tail(1, false)
  expect(numbers(w)).toHaveLength(501)
  state.lines = 5110 // ten lines, of which one is read
  await w.tail(1, false)
  expect(numbers(w)).toHaveLength(511)
  expect([w.slotOf(10), w.slotOf(5110), w.prepended]).toEqual([1, 511, 0])
})

test('a read that failed is done again, unless it cannot succeed or the view is closed', async () => {
  vi.useFakeTimers()
  try {
    const { state, read } = server(25_000)
    const failures: Error[] = [new ApiError(0, 'away'), new ApiError(503, 'busy')]
    const w = new FilteredWindow((q, signal) => {
      const err = failures.shift()
      return err ? Promise.reject(err) : read(q, signal)
    }, () => {}, 'stderr')
    await w.tail(200)
    expect([w.error?.message, w.size]).toEqual(['away', 0])
    await vi.advanceTimersByTimeAsync(retryMs)
    expect([w.error?.message, w.size]).toEqual(['busy', 0])
    await vi.advanceTimersByTimeAsync(retryMs)
    expect([w.error, w.size]).toEqual([null, 1000])
    // Lines in view are read, too.
    failures.push(new ApiError(0, 'away'))
    w.want(1)
    await vi.advanceTimersByTimeAsync(0)
    expect([w.error?.message, w.size]).toEqual(['away', 1000])
    await vi.advanceTimersByTimeAsync(retryMs)
    expect([w.error, w.size]).toEqual([null, 2000])
    await vi.advanceTimersByTimeAsync(10 * retryMs)
    expect(state.requests).toEqual([1000, 2000])
    failures.push(new ApiError(404, 'removed'))
    await w.tail(1)
    await vi.advanceTimersByTimeAsync(10 * retryMs)
    expect(w.error?.message).toBe('removed')
    failures.push(new ApiError(0, 'away'))
    await w.tail(1)
    w.close()
    await vi.advanceTimersByTimeAsync(10 * retryMs)
    expect(state.requests).toEqual([1000, 2000])
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})
