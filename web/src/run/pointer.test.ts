import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Pointer } from './pointer.svelte'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function page(over: { visible?: boolean; line?: number | null } = {}) {
  const shown: (number | null)[] = []
  const pointer = new Pointer({
    lineAt: async () => (over.line === undefined ? 7 : over.line),
    logVisible: () => over.visible ?? true,
    highlightLine: async (line) => void shown.push(line),
  })
  return { pointer, shown, wait: (ms: number) => vi.advanceTimersByTimeAsync(ms) }
}

test('a pointer that rests in a chart shows its moment in the log until it leaves', async () => {
  const { pointer, shown, wait } = page()
  pointer.inChart(100, true)
  await wait(139)
  pointer.inChart(101, true)
  await wait(139)
  expect(shown).toEqual([])
  await wait(1)
  expect(shown).toEqual([7])
  pointer.inChart(null, true)
  expect(shown).toEqual([7, null])
  expect(pointer.time).toBeNull()
})

test('the crosshair of another chart, a hidden log and a moment without a line show nothing', async () => {
  for (const [inChart, over] of [[false, {}], [true, { visible: false }], [true, { line: null }]] as const) {
    const { pointer, shown, wait } = page(over)
    pointer.inChart(100, inChart)
    await wait(1000)
    pointer.inChart(null, true)
    expect([inChart, over, shown]).toEqual([inChart, over, []])
  }
})

test('a log that the person went to stays there when the pointer leaves', async () => {
  const { pointer, shown, wait } = page()
  pointer.inChart(100, true)
  await wait(200)
  pointer.picked()
  pointer.inChart(null, true)
  expect(shown).toEqual([7])
})

test('a line sets the moment of the charts', () => {
  const { pointer } = page()
  pointer.atLine('2026-03-01T12:00:00Z')
  expect(pointer.time).toBe(Date.parse('2026-03-01T12:00:00Z') / 1000)
  pointer.atLine(null)
  expect(pointer.time).toBeNull()
})
