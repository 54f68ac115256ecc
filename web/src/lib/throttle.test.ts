import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { throttled } from './throttle'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('a thousand changes cost one reload at once and one after the pause', async () => {
  const work = vi.fn(async () => {})
  const reload = throttled(2000, work)
  for (let i = 0; i < 1000; i++) reload.request()
  expect(work).toHaveBeenCalledTimes(1)
  await vi.advanceTimersByTimeAsync(1999)
  expect(work).toHaveBeenCalledTimes(1)
  await vi.advanceTimersByTimeAsync(1)
  expect(work).toHaveBeenCalledTimes(2)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(work).toHaveBeenCalledTimes(2)
})

test('2,000 changes in a minute cost no more than a reload per pause', async () => {
  const work = vi.fn(async () => {})
  const reload = throttled(2000, work)
  for (let i = 0; i < 2000; i++) {
    reload.request()
    await vi.advanceTimersByTimeAsync(30)
  }
  await vi.advanceTimersByTimeAsync(10_000)
  expect(work.mock.calls.length).toBeGreaterThan(25)
  expect(work.mock.calls.length).toBeLessThanOrEqual(32)
})

test('a slow answer is waited for, one that never comes is not', async () => {
  let done = () => {}
  const work = vi.fn(() => new Promise<void>((resolve) => (done = resolve)))
  const reload = throttled(2000, work)
  reload.request()
  reload.request()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(work).toHaveBeenCalledTimes(1)
  done()
  await vi.advanceTimersByTimeAsync(2000)
  expect(work).toHaveBeenCalledTimes(2)
  reload.request()
  await vi.advanceTimersByTimeAsync(32_000)
  expect(work).toHaveBeenCalledTimes(3)
})

test('nothing is done after stop', async () => {
  const work = vi.fn(async () => {})
  const reload = throttled(2000, work)
  reload.request()
  reload.request()
  reload.stop()
  reload.request()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(work).toHaveBeenCalledTimes(1)
  expect(vi.getTimerCount()).toBe(0)
})
