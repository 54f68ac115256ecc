import { expect, test } from 'vitest'
import { outputProof } from './output'
import { testRun as run } from './testrun'

const output = { bytes: 1, lines: 1, complete: true, gaps: [] }
const step = { index: 0, name: 'command', kind: 'command', command: 'x', started_at: '2026-03-01T12:00:00Z' }

test('what the page says about the output of a run', () => {
  const proof = (over: object) => outputProof(run({ output, ...over } as never)).text
  expect(proof({ state: 'succeeded', steps: [{ ...step, pid: 7, state: 'succeeded', ended_at: '2026-03-01T12:00:01Z' }] })).toBe('verified complete')
  expect(proof({ state: 'failed', output: { ...output, complete: false } })).toBe('incomplete')
  // Its agent died while the job ran; its journal is complete.
  expect(proof({ state: 'lost', steps: [{ ...step, pid: 7, state: 'running' }] })).toBe('as far as its agent had read it')
  expect(proof({ state: 'lost', steps: [{ ...step, pid: 7, state: 'lost', ended_at: '2026-03-01T12:00:01Z' }] })).toBe('as far as its agent had read it')
  // The command had ended before, or there was none.
  expect(proof({ state: 'lost', steps: [{ ...step, pid: 7, state: 'succeeded', ended_at: '2026-03-01T12:00:01Z' }] })).toBe('verified complete')
  expect(proof({ state: 'lost', steps: [{ ...step, state: 'running' }] })).toBe('verified complete')
  expect(proof({ state: 'lost', output: { ...output, complete: false }, steps: [{ ...step, pid: 7, state: 'running' }] })).toBe('incomplete')
})
