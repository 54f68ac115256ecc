import { afterEach, expect, test, vi } from 'vitest'
import { kept, keptInTab } from './storage'

afterEach(() => vi.unstubAllGlobals())

test('values are kept where the browser has room for them', () => {
  const there = new Map<string, string>()
  vi.stubGlobal('localStorage', {
    getItem: (k: string) => there.get(k) ?? null,
    setItem: (k: string, v: string) => void there.set(k, v),
    removeItem: (k: string) => void there.delete(k),
  })
  kept.set('a', '1')
  expect([kept.get('a'), there.get('a'), kept.get('b')]).toEqual(['1', '1', null])
  kept.set('a', '')
  expect([kept.get('a'), there.size]).toEqual([null, 0])
})

test('a browser that refuses to keep anything does no harm', () => {
  const refuse = () => {
    throw new DOMException('denied', 'SecurityError')
  }
  vi.stubGlobal('sessionStorage', { getItem: refuse, setItem: refuse, removeItem: refuse })
  expect(keptInTab.get('token')).toBeNull()
  keptInTab.set('token', 'x')
  expect(keptInTab.get('token')).toBe('x')
  keptInTab.set('token', '')
  expect(keptInTab.get('token')).toBeNull()
})
