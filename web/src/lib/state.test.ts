import { describe, expect, test } from 'vitest'
import type { Run } from './api/types'
import { acknowledgedBy, cause, clearlyOver, elapsed, gist, late, peakMemory, title, verdict, why } from './state'

const now = Date.parse('2026-03-01T12:00:00Z')

function run(over: Partial<Run>): Run {
  return {
    id: 'r1', job: 'train', number: 4, attempt: 1, state: 'running', health: 'healthy', findings: [],
    outcome: null, steps: [], command: '', args: [], dir: '', host: 'h', containment: '', agent_version: '',
    labels: {}, created_at: '2026-03-01T11:00:00Z', start_at: '2026-03-01T11:00:00Z', started_at: '2026-03-01T11:00:00Z', ended_at: null,
    last_heartbeat_at: '2026-03-01T11:59:58Z', status: '',
    usage: { cpu_seconds: 0, memory_bytes: 0, peak_memory_bytes: 0, processes: 0, read_bytes: 0, written_bytes: 0 },
    output: { bytes: 0, lines: 0, complete: false, gaps: [], longest_silence_seconds: 0 }, cancel: null, notes: [],
    ...over,
  }
}

test('a run that was delivered late says so', () => {
  expect(late(run({}))).toBe('')
  expect(late(run({ delivered_late_seconds: 7200 }))).toBe('delivered 2 h later')
})

describe('verdict', () => {
  test('a healthy run and a good end have none', () => {
    expect(verdict(run({}), now)).toBeNull()
    expect(verdict(run({ state: 'succeeded', health: '' }), now)).toBeNull()
  })
  test('a finding with its countdown; the critical one comes first', () => {
    const r = run({
      health: 'critical',
      findings: [
        { rule: 'overdue', health: 'warning', since: '', evidence: 'Long' },
        {
          rule: 'quiet', health: 'critical', since: '', evidence: 'Silent for 41 s',
          next: 'the run is called lost', next_at: '2026-03-01T12:00:49Z',
        },
      ],
    })
    expect(verdict(r, now)).toBe('Silent for 41 s. The run is called lost in 49 s.')
    expect(verdict(r, now + 60_000)).toBe('Silent for 41 s. The run is called lost.')
  })
  test('a cancel on its way', () => {
    const r = run({ state: 'stopping', cancel: { by: 'ada', why: 'wrong data', at: '2026-03-01T11:59:50Z' } })
    expect(verdict(r, now)).toBe('ada asked it to stop 10 s ago: wrong data.')
  })
  test('suspended', () => {
    const r = run({ suspended_at: '2026-03-01T11:55:00Z' })
    expect(verdict(r, now)).toBe('Suspended 5 m ago: agent and job are stopped until they are continued.')
    expect(gist(r, now)).toBe(verdict(r, now))
  })
  test('lost without an outcome', () => {
    const r = run({ state: 'lost', health: '', last_heartbeat_at: '2026-03-01T11:58:00Z' })
    expect(verdict(r, now)).toBe('Nobody knows how it ended. Last heard 2 m ago.')
  })
})

test('gist of an end', () => {
  const oom = run({
    state: 'failed',
    outcome: {
      state: 'failed', reason: 'out_of_memory', exit_code: null, message: '…',
      oom: { limit_bytes: 2 ** 34, peak_bytes: 2 ** 34, kills: 1, victim: 'python', victim_pid: 412 },
    },
  })
  expect(gist(oom, now)).toBe('out of memory: peak 16 GiB of 16 GiB (python 412)')
  const code = run({ state: 'failed', outcome: { state: 'failed', reason: 'exit_code', exit_code: 3, message: '…' } })
  expect(gist(code, now)).toBe('exit code 3')
  expect(gist(run({ status: 'epoch 3' }), now)).toBe('epoch 3')
})

test('the line that states the error, or the likeliest cause, stands behind a reason that says little', () => {
  const outcome = { state: 'failed' as const, reason: 'exit_code', exit_code: 3, message: 'Exited with code 3.' }
  const because = (evidence: string, weight = 0.6) =>
    run({ state: 'failed', outcome, diagnosis: { sentence: 'Probably: ' + evidence, causes: [{ cause: 'x', weight, evidence }] } })
  const text = 'psycopg.errors.UndefinedTable: relation "orders_tmp" does not exist'
  const stated = run({
    state: 'failed',
    outcome,
    diagnosis: { sentence: text, causes: [{ cause: 'x', weight: 0.6, evidence: text }], evidence: { attempt: 1, step: 0, stream: 'stderr', line: 14, text } },
  })
  expect(cause(stated)).toBe(text)
  expect(why(stated)).toBe(`Exited with code 3. ${text}`)
  expect(cause({ ...stated, outcome: { ...outcome, reason: 'install_failed' } })).toBe(text)
  expect(cause(because('The disk was full.'))).toBe('The disk was full')
  expect(cause(because('Changed.', 0.3))).toBe('')
  expect(cause(run({ state: 'failed', outcome, diagnosis: null }))).toBe('')
  const oom = { ...because('The kernel killed it.', 1), outcome: { ...outcome, reason: 'out_of_memory' } }
  expect(cause(oom)).toBe('')
})

test('only what is clearly over the usual time stands out', () => {
  const usual = { runs: 3, p50: 10, p95: 10 }
  expect([10.5, 11.1].map((s) => clearlyOver(usual, s))).toEqual([false, true])
  expect(clearlyOver({ ...usual, runs: 2 }, 100)).toBe(false)
  expect(clearlyOver(null, 100)).toBe(false)
})

test('title begins with the state', () => {
  expect(title(run({ state: 'timed_out' }))).toBe('⏱ train #4 timed out · Stint')
})

test('a run between two attempts says when the next begins', () => {
  const retrying = run({ state: 'retrying', attempt: 2, outcome: { reason: 'exit_code', exit_code: 7, message: 'Exited with code 7.', retry_at: new Date(now + 432_000).toISOString() } as Run['outcome'], created_at: new Date(now - 100_000).toISOString() })
  expect(verdict(retrying, now)).toBe('Attempt 2: Exited with code 7. Attempt 3 begins in 7 m 12 s.')
  expect(gist(retrying, now)).toBe('attempt 3 in 7 m 12 s')
  expect(elapsed(retrying, now)).toBe(100)
  expect(verdict({ ...retrying, outcome: null }, now)).toBe('Attempt 3 begins soon.')
})

test('an acknowledgement says who, when and why', () => {
  const a = { by: 'ada', at: new Date(now - 720_000).toISOString(), attempt: 1, state: 'failed' }
  expect(acknowledgedBy(a, now)).toBe('acknowledged by ada 12 m ago')
  expect(acknowledgedBy({ ...a, by: '', why: 'on it' }, now)).toBe('acknowledged by somebody 12 m ago: on it')
})

test('the peak of memory is the one that the verdict names', () => {
  const usage = { ...run({}).usage, peak_memory_bytes: 134 }
  expect(peakMemory(run({ usage }))).toBe(134)
  const outcome = { state: 'failed', reason: 'out_of_memory', oom: { peak_bytes: 128, limit_bytes: 128 } } as unknown as Run['outcome']
  expect(peakMemory(run({ usage, outcome }))).toBe(128)
})
