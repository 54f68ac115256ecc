import { describe, expect, test } from 'vitest'
import type { Run } from './api/types'
import { elapsed } from './state'
import { testRun as run } from './testrun'
import { shownCause, explain, summary, verdict, verdictMoment, reasonText } from './verdict'

const now = Date.parse('2026-03-01T12:00:00Z')

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
          next: 'the run is called lost', next_code: 'lost', next_at: '2026-03-01T12:00:49Z',
        },
      ],
    })
    expect(verdict(r, now)).toBe('Silent for 41 s. The run is called lost in 49 s.')
    expect(verdict(r, now + 60_000)).toBe('Silent for 41 s. The run is called lost.')
  })
  test('a cancel on its way', () => {
    const r = run({ state: 'stopping', cancel: { by: 'ada', why: 'wrong data', at: '2026-03-01T11:59:50Z' } })
    expect(verdict(r, now)).toBe('Cancel requested 10 s ago by ada: wrong data.')
  })
  test('suspended', () => {
    const r = run({ suspended_at: '2026-03-01T11:55:00Z' })
    expect(verdict(r, now)).toBe('Suspended 5 m ago: agent and job are stopped until they are continued.')
    expect(summary(r, now)).toBe(verdict(r, now))
  })
  test('lost without an outcome', () => {
    const r = run({ state: 'lost', health: '', last_heartbeat_at: '2026-03-01T11:58:00Z' })
    expect(verdict(r, now)).toBe('It is not known how the run ended. The last heartbeat came 2 m ago.')
  })
})

test('summary of an end', () => {
  const oom = run({
    state: 'failed',
    outcome: {
      state: 'failed', reason: 'out_of_memory', exit_code: null, message: '…',
      oom: { limit_bytes: 2 ** 34, peak_bytes: 2 ** 34, kills: 1, victim: 'python', victim_pid: 412 },
    },
  })
  expect(summary(oom, now)).toBe('out of memory: peak 16 GiB of 16 GiB (python 412)')
  const code = run({ state: 'failed', outcome: { state: 'failed', reason: 'exit_code', exit_code: 3, message: '…' } })
  expect(summary(code, now)).toBe('exit code 3')
  expect(summary(run({ status: 'epoch 3' }), now)).toBe('epoch 3')
})

test('a vague reason is explained by the error line or the most likely cause', () => {
  const outcome = { state: 'failed' as const, reason: 'exit_code', exit_code: 3, message: 'Exited with code 3.' }
  const because = (evidence: string, weight = 0.6) =>
    run({ state: 'failed', outcome, diagnosis: { sentence: 'Probably: ' + evidence, causes: [{ cause: 'x', weight, evidence }] } })
  const text = 'psycopg.errors.UndefinedTable: relation "orders_tmp" does not exist'
  const stated = run({
    state: 'failed',
    outcome,
    diagnosis: { sentence: text, causes: [{ cause: 'x', weight: 0.6, evidence: text }], evidence: { attempt: 1, step: 0, stream: 'stderr', line: 14, text } },
  })
  expect(shownCause(stated)).toBe(text)
  expect(reasonText(stated)).toBe(`Exited with code 3. ${text}`)
  expect(shownCause({ ...stated, outcome: { ...outcome, reason: 'install_failed' } })).toBe(text)
  expect(shownCause(because('The disk was full.'))).toBe('The disk was full')
  expect(shownCause(because('Changed.', 0.3))).toBe('')
  expect(shownCause(run({ state: 'failed', outcome, diagnosis: null }))).toBe('')
  const oom = { ...because('The kernel killed it.', 1), outcome: { ...outcome, reason: 'out_of_memory' } }
  expect(shownCause(oom)).toBe('')
})

test('a run between two attempts says when the next begins', () => {
  const retrying = run({ state: 'retrying', attempt: 2, outcome: { reason: 'exit_code', exit_code: 7, message: 'Exited with code 7.', retry_at: new Date(now + 432_000).toISOString() } as Run['outcome'], created_at: new Date(now - 100_000).toISOString() })
  expect(verdict(retrying, now)).toBe('Attempt 2: Exited with code 7. Attempt 3 begins in 7 m 12 s.')
  expect(summary(retrying, now)).toBe('attempt 3 in 7 m 12 s')
  expect(elapsed(retrying, now)).toBe(100)
  expect(verdict({ ...retrying, outcome: null }, now)).toBe('Attempt 3 begins soon.')
})

test('nobody knows how long a run took that was lost, until its journal is completed', () => {
  const lost = run({ state: 'lost' })
  expect(elapsed(lost, now)).toBeNaN()
  expect(elapsed({ ...lost, ended_at: '2026-03-01T11:00:02Z' }, now)).toBe(2)
  expect(elapsed(run({ state: 'canceled' }), now)).toBeNaN()
  expect(elapsed(run({ state: 'stopping' }), now)).toBe(3600)
})

test('nobody knows how long a run took that was reported only when it had ended', () => {
  expect(elapsed(run({ state: 'succeeded', ended_at: run({}).started_at }), now)).toBeNaN()
})

describe('explanation', () => {
  const message = 'Could not start x: no such file or directory (ENOENT).'
  const ended = (over: Partial<Run>) => run({ state: 'failed', health: '', ended_at: '2026-03-01T11:50:00Z', ...over })
  const outcome = { state: 'failed' as const, reason: 'could_not_start', exit_code: null, message }
  const changed = { cause: 'changed', weight: 0.3, evidence: 'Changed since the last good run, #3: command.' }
  const line = { attempt: 1, step: 0, stream: 'stderr', line: 14, text: 'ValueError: no such table' }

  test('a cause that repeats what is shown is left out, what follows it is not', () => {
    for (const source of ['outcome', 'finding', 'log'] as const) {
      const first = { cause: 'x', weight: 0.9, evidence: message, source }
      const diagnosis = { sentence: `${message} ${changed.evidence}`, causes: [first, changed], evidence: line }
      expect(explain(ended({ outcome, diagnosis }))).toMatchObject({ text: changed.evidence, evidence: line, causes: [], changed: true })
      expect(explain(ended({ outcome, diagnosis: { ...diagnosis, causes: [first] } })).text).toBe('')
    }
  })
  test('a cause of its own is shown, with those that are less likely', () => {
    const own = ['a', 'b', 'c', 'd', 'e'].map((cause) => ({ cause, weight: 0.6, evidence: cause + '.' }))
    const quoting = { cause: 'network', weight: 0.5, evidence: line.text, source: 'log' as const }
    const diagnosis = { sentence: 'Probably: a.', causes: [...own, quoting], evidence: line }
    const got = explain(ended({ outcome, diagnosis }))
    expect(got.text).toBe('Probably: a.')
    expect(got.causes.map((c) => c.cause)).toEqual(['b', 'c', 'd'])
    expect(got.changed).toBe(false)
  })
  test('the diagnosis that is the verdict is not shown again', () => {
    const lost = ended({ state: 'lost', diagnosis: { sentence: 'Possibly: the host went down.', causes: [changed] } })
    expect(verdict(lost, now)).toBe('Possibly: the host went down.')
    expect(explain(lost).text).toBe('')
  })
  test('facts are those that the message does not name, by its reason', () => {
    const oom = { limit_bytes: 2 ** 20, peak_bytes: 2 ** 20, kills: 1 }
    const facts = (reason: string) => explain(ended({ outcome: { ...outcome, reason, oom, core_dumped: true } })).facts
    expect(facts('timeout')).toEqual(['core dumped', 'peak 1 MiB of 1 MiB'])
    expect(facts('signal')).toEqual(['peak 1 MiB of 1 MiB'])
    expect(facts('out_of_memory')).toEqual(['core dumped'])
    expect(facts('install_failed')).toEqual([])
  })
})

test('the moment of a verdict', () => {
  const finding = { rule: 'stalled', health: 'warning' as const, since: '2026-03-01T11:40:00Z', evidence: '' }
  const oom = { limit_bytes: 0, peak_bytes: 1, kills: 1, at: '2026-03-01T11:41:00Z' }
  const outcome = { state: 'failed' as const, reason: 'out_of_memory', exit_code: null, message: '', oom }
  expect(verdictMoment(run({}))).toBeNull()
  expect(verdictMoment(run({ findings: [finding] }))).toBe(finding.since)
  expect(verdictMoment(run({ state: 'queued', findings: [finding] }))).toBeNull()
  expect(verdictMoment(run({ state: 'failed', findings: [finding] }))).toBeNull()
  expect(verdictMoment(run({ state: 'failed', outcome }))).toBe(oom.at)
  expect(verdictMoment(run({ state: 'lost', findings: [finding] }))).toBe('2026-03-01T11:59:58Z')
})

test('a submitted run waits in the queue, or was given to a worker', () => {
  const submitted = { by: 'ada', at: '', priority: 'normal' }
  const queued = run({ state: 'queued', health: '', attempt: 0, host: '', submitted })
  expect(summary(queued, now)).toBe('waits in the queue')
  expect(summary({ ...queued, submitted: { ...submitted, worker: 'w7' } }, now)).toBe('given to w7, starting')
  const retrying = run({ state: 'retrying', attempt: 1, submitted: { ...submitted, worker: 'w7' } })
  expect(verdict(retrying, now)).toBe('Attempt 2 waits in the queue.')
  expect(summary(retrying, now)).toBe('attempt 2 waits in the queue')
})
