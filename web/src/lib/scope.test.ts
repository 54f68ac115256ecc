import { expect, test } from 'vitest'
import { allows, type Scope } from './scope'

test('a scope includes those before it', () => {
  const may = (has: string) => (['read', 'write', 'author', 'admin'] as Scope[]).filter((wanted) => allows(has, wanted)).join(' ')
  expect(may('read')).toBe('read')
  expect(may('write')).toBe('read write')
  expect(may('author')).toBe('read write author')
  expect(may('admin')).toBe('read write author admin')
  expect(may('agent') + may('worker') + may('ping') + may('') + may('root')).toBe('')
})
