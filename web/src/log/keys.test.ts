import { expect, test } from 'vitest'
import { logKeys, runLogKey, selectsAll, type LogCommands } from './keys'

function recorded() {
  const calls: string[] = []
  const record = (name: string) => (...args: unknown[]) => void calls.push([name, ...args].join(' '))
  const log: LogCommands = {
    focusSearch: record('focusSearch'), goToMatch: record('goToMatch'), goToStart: record('goToStart'), goToEnd: record('goToEnd'),
    toggleFollow: record('toggleFollow'), toggleWrap: record('toggleWrap'), nextTimeFormat: record('nextTimeFormat'), goToNextError: record('goToNextError'),
  }
  return { calls, log }
}

test.each([
  ['/', 'focusSearch'],
  ['n', 'goToMatch false'],
  ['N', 'goToMatch true'],
  ['g', 'goToStart'],
  ['G', 'goToEnd'],
  ['f', 'toggleFollow'],
  ['w', 'toggleWrap'],
  ['t', 'nextTimeFormat'],
  ['e', 'goToNextError'],
])('the key %s calls %s', (key, want) => {
  const { calls, log } = recorded()
  expect(runLogKey(key, log)).toBe(true)
  expect(calls).toEqual([want])
})

test('other keys do nothing', () => {
  const { calls, log } = recorded()
  for (const key of ['a', 'E', 'Escape', 'toString', '[']) expect(runLogKey(key, log)).toBe(false)
  expect(calls).toEqual([])
})

test('the list of keys names every key', () => {
  for (const row of logKeys) expect(row.keys.split(/\s+/)).toEqual(Object.keys(row.commands))
})

test('Ctrl+A and Cmd+A select everything', () => {
  const key = (over: object) => ({ key: 'a', ctrlKey: false, metaKey: false, ...over })
  expect(selectsAll(key({ ctrlKey: true }))).toBe(true)
  expect(selectsAll(key({ metaKey: true }))).toBe(true)
  expect(selectsAll(key({}))).toBe(false)
  expect(selectsAll(key({ key: 'c', ctrlKey: true }))).toBe(false)
})
