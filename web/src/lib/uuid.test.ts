import { expect, test } from 'vitest'
import { newRunID, uuid7 } from './uuid'

test('a UUID of version 7 has its time and the random bytes', () => {
  // The example of RFC 9562, A.6.
  const random = Uint8Array.from([0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f])
  expect(uuid7(0x017f22e279b0, random)).toBe('017f22e2-79b0-7cc3-98c4-dc0c0c07398f')
  expect(newRunID()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(newRunID()).not.toBe(newRunID())
})
