import { expect, test } from 'vitest'
import { otherNotes, stoppedProcesses } from './processes'

const notes = [
  'the clock went back by 3 s',
  'diagnosis before the stop: 4 processes\n' +
    'psql (pid 412, parent 320): sleeping, in recvfrom on fd 5; CPU 0.10 s; sockets: tcp 10.0.0.4:4 to 10.0.0.9:5432 established\n' +
    'sh (pid 320, parent 1): sleeping, in wait for a child; CPU 0.00 s; children: 1',
  'diagnosis, continued\na (b) (pid 500, parent 412): running; CPU 3.00 s\nand 1 more that are not described',
]

test('the notes before a stop become a tree of processes', () => {
  const got = stoppedProcesses(notes)
  expect(got?.processes.map((p) => [p.depth, p.name, p.pid])).toEqual([[0, 'sh', 320], [1, 'psql', 412], [2, 'a (b)', 500]])
  expect(got?.processes[1]?.facts).toEqual(['sleeping, in recvfrom on fd 5', 'CPU 0.10 s', 'sockets: tcp 10.0.0.4:4 to 10.0.0.9:5432 established'])
  expect(got?.more).toBe('and 1 more that are not described')
  expect(otherNotes(notes)).toEqual(['the clock went back by 3 s'])
})

test('processes that name each other as parents are listed once', () => {
  const loop = ['diagnosis before the stop: 2 processes\nx (pid 1, parent 2): running\ny (pid 2, parent 1): running']
  expect(stoppedProcesses(loop)?.processes.map((p) => p.pid)).toEqual([1, 2])
})

test('other notes describe no processes', () => {
  expect(stoppedProcesses([])).toBeNull()
  expect(stoppedProcesses(['diagnosis before the stop: 0 processes'])).toBeNull()
  expect(stoppedProcesses(['sh (pid 1, parent 0): running'])).toBeNull()
})
