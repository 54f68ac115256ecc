import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Announcer } from './announcer.svelte'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('a message disappears after its time', () => {
  const a = new Announcer(1500)
  a.announce('Copied')
  vi.advanceTimersByTime(1499)
  expect(a.text).toBe('Copied')
  vi.advanceTimersByTime(1)
  expect(a.text).toBe('')
})

test('a message has its whole time, whenever the one before it came', () => {
  const a = new Announcer(1500)
  a.announce('Copied')
  vi.advanceTimersByTime(1000)
  a.announce('Could not copy', 4000)
  vi.advanceTimersByTime(3999)
  expect(a.text).toBe('Could not copy')
  vi.advanceTimersByTime(1)
  expect(a.text).toBe('')
})

test('without a time a message stays until it is cleared', () => {
  const a = new Announcer()
  a.announce('No error lines found.')
  vi.advanceTimersByTime(3_600_000)
  expect(a.text).toBe('No error lines found.')
  a.clear()
  expect(a.text).toBe('')
})
