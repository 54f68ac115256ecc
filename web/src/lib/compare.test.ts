import { expect, test } from 'vitest'
import type { Run, Sample } from './api/types'
import { changesOf, difference, facts, overlay } from './compare'

const run = (more: object) =>
  ({ state: 'succeeded', number: 1, host: 'h', command: 'c', dir: '/', labels: { b: '2', a: '1' }, agent_version: '1', started_at: '2026-01-01T00:00:00Z',
    ended_at: '2026-01-01T00:00:10Z', usage: { cpu_seconds: 4, peak_memory_bytes: 100, read_bytes: 0, written_bytes: 0 }, output: { lines: 5 }, outcome: null, ...more }) as unknown as Run

test('differences as people say them', () => {
  expect([difference(10, 11), difference(10, 9), difference(10, 34), difference(1, 20), difference(10, 10), difference(0, 5), difference(NaN, 1)])
    .toEqual(['+10 %', '−10 %', '3.4 times', '20 times', '', '', ''])
})

test('facts of two runs', () => {
  const list = facts(run({}), run({ state: 'failed', ended_at: '2026-01-01T00:00:15Z', outcome: { message: 'Exited with code 3.' } }))
  expect(list.find((x) => x.what === 'time')).toEqual({ what: 'time', a: '10 s', b: '15 s', more: '+50 %', same: false })
  expect(list.find((x) => x.what === 'outcome')).toMatchObject({ a: 'succeeded', b: 'failed', same: false })
  expect(list.find((x) => x.what === 'host')?.same).toBe(true)
})

test('what differs, without the order of labels', () => {
  expect(changesOf(run({}), run({ labels: { a: '1', b: '2' } }))).toEqual([])
  expect(changesOf(run({}), run({ host: 'x' }))).toEqual([{ what: 'host', before: 'h', after: 'x' }])
})

test('both runs stand on one axis of age', () => {
  const sample = (at: string, cpu_cores: number) => ({ at, cpu_cores }) as Sample
  const p = overlay('cpu', 'CPU', (s) => s.cpu_cores, String, false, [
    { run: run({}), samples: [sample('2026-01-01T00:00:01Z', 1), sample('2026-01-01T00:00:02Z', 2)] },
    { run: run({ number: 2, started_at: '2026-02-01T00:00:00Z' }), samples: [sample('2026-02-01T00:00:02Z', 7)] },
  ])
  expect(p.time).toEqual([1, 2])
  expect(p.lines.map((l) => [l.label, l.values])).toEqual([['#1', [1, 2]], ['#2', [null, 7]]])
})
