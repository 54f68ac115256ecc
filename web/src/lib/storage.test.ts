import { afterEach, expect, test, vi } from 'vitest'
import { stored, storedInTab } from './storage'

afterEach(() => vi.unstubAllGlobals())

test('values are stored where the browser allows it', () => {
  const there = new Map<string, string>()
  vi.stubGlobal('localStorage', {
    getItem: (k: string) => there.get(k) ?? null,
    setItem: (k: string, v: string) => void there.set(k, v),
    removeItem: (k: string) => void there.delete(k),
  })
  stored.set('a', '1')
  expect([stored.get('a'), there.get('a'), stored.get('b')]).toEqual(['1', '1', null])
  stored.set('a', '')
  expect([stored.get('a'), there.size]).toEqual([null, 0])
})

test('a browser that refuses to store anything does no harm', () => {
  const refuse = () => {
    throw new DOMException('denied', 'SecurityError')
  }
  vi.stubGlobal('sessionStorage', { getItem: refuse, setItem: refuse, removeItem: refuse })
  expect(storedInTab.get('token')).toBeNull()
  storedInTab.set('token', 'x')
  expect(storedInTab.get('token')).toBe('x')
  storedInTab.set('token', '')
  expect(storedInTab.get('token')).toBeNull()
})
