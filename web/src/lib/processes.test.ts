import { expect, test } from 'vitest'
import { otherNotes, processTree } from './processes'
import { testRun } from './testrun'

const psql = { pid: 412, parent: 320, name: 'psql', facts: ['sleeping, in recvfrom on fd 5', 'CPU 0.10 s', 'sockets: tcp 10.0.0.4:4 to 10.0.0.9:5432 established'] }
const sh = { pid: 320, parent: 1, name: 'sh', facts: ['sleeping, in wait for a child', 'CPU 0.00 s', 'children: 1'] }
const other = { pid: 500, parent: 412, name: 'a (b)', facts: ['running', 'CPU 3.00 s'] }
const run = testRun({
  notes: ['the clock went back by 3 s', 'diagnosis before the stop: 4 processes', 'diagnosis, continued'],
  stopped_processes: { processes: [psql, sh, other], not_described: 1, notes: [1, 2] },
})

test('the notes before a stop become a tree of processes', () => {
  const got = processTree(run.stopped_processes!)
  expect(got.map((p) => [p.depth, p.name, p.pid])).toEqual([[0, 'sh', 320], [1, 'psql', 412], [2, 'a (b)', 500]])
  expect(got[1]?.facts).toEqual(['sleeping, in recvfrom on fd 5', 'CPU 0.10 s', 'sockets: tcp 10.0.0.4:4 to 10.0.0.9:5432 established'])
  expect(otherNotes(run)).toEqual(['the clock went back by 3 s'])
})

test('processes that name each other as parents are listed once', () => {
  const loop = { processes: [{ pid: 1, parent: 2, name: 'x', facts: [] }, { pid: 2, parent: 1, name: 'y', facts: [] }], not_described: 0, notes: [] }
  expect(processTree(loop).map((p) => p.pid)).toEqual([1, 2])
})

test('other notes describe no processes', () => {
  expect(otherNotes(testRun({}))).toEqual([])
  expect(otherNotes(testRun({ notes: ['sh (pid 1, parent 0): running'] }))).toEqual(['sh (pid 1, parent 0): running'])
  expect(processTree({ processes: [], not_described: 0, notes: [] })).toEqual([])
})
