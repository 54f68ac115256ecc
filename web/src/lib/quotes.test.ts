import { afterAll, beforeAll, expect, test } from 'vitest'
import { inLocalTime } from './moments'
import { quotesOf, quotesOfEvent } from './quotes'
import { attempts } from './steps'
import type { RunEvent } from './api/types'
import { testRun as run } from './testrun'

const zone = process.env.TZ
beforeAll(() => void (process.env.TZ = 'Asia/Kolkata'))
afterAll(() => void (process.env.TZ = zone))
const now = Date.parse('2026-03-01T12:00:00Z')
const words = 'until 04:06:38 UTC'
const times = [{ text: '04:06:38 UTC', at: '2026-03-01T04:06:38Z' }, { text: '05:00:00 UTC', at: '2026-03-01T05:00:00Z' }]

test.each([
  ['its log', run({ diagnosis: { sentence: '', causes: [], evidence: { attempt: 1, step: 0, stream: 'stderr', line: 1, text: words } } }), `${words}.`],
  ['its status', run({ status: words }), `It reports: ${words}.`],
  ['its command', run({ command: `backup ${words}` }), `Could not start backup ${words}.`],
  ['who canceled it', run({ cancel: { by: 'ada', why: words, at: '2026-03-01T11:00:00Z' } }), `Canceled by ada: ${words}.`],
])('a moment that a sentence quotes from %s stays', (_, r, text) => {
  expect(inLocalTime(text, times, now, quotesOf(r))).toBe(text)
  expect(inLocalTime(`${text} Lost at 05:00:00 UTC.`, times, now, quotesOf(r))).toBe(`${text} Lost at 10:30:00.`)
})

test('the reason of a policy has moments of the server', () => {
  const why = 'stalled holds: no output since 05:00:00 UTC'
  const by = 'the policy of the job'
  const r = run({ cancel: { by, why, at: '2026-03-01T11:00:00Z', by_policy: true } })
  expect(inLocalTime(why, times, now, quotesOf(r))).toBe('stalled holds: no output since 10:30:00')
  for (const evidence of [`Stop requested by ${by}: ${why}`, `The agent began to stop the job: canceled, by ${by}: ${why}.`]) {
    expect(inLocalTime(evidence, times, now, quotesOfEvent(r, { rule: 'stop_requested', evidence, by_policy: true }))).toBe(evidence.replace('05:00:00 UTC', '10:30:00'))
  }
})

test('a person who writes what a policy would stays quoted', () => {
  const evidence = 'Stop requested by the policy of the job: since 05:00:00 UTC'
  const r = run({ cancel: { by: 'the policy of the job', why: 'since 05:00:00 UTC', at: '2026-03-01T11:00:00Z' } })
  expect(inLocalTime(evidence, times, now, quotesOfEvent(r, { rule: 'stop_requested', evidence }))).toBe(evidence)
  expect(inLocalTime(evidence, times, now, quotesOf(r))).toBe(evidence)
})

test.each(['install_started', 'command_started', 'stop_requested', 'retry_requested', 'acknowledged', 'unacknowledged'])('the evidence of %s stays', (rule) => {
  const evidence = 'Requested by ada: again at 05:00:00 UTC'
  expect(inLocalTime(evidence, times, now, quotesOfEvent(run({}), { rule, evidence }))).toBe(evidence)
})

test('the evidence of other events is in local time', () => {
  const evidence = 'Silent since 05:00:00 UTC.'
  expect(inLocalTime(evidence, times, now, quotesOfEvent(run({}), { rule: 'lease_expired', evidence }))).toBe('Silent since 10:30:00.')
})

test('an attempt quotes what its evidence quotes', () => {
  const event = (id: number, attempt: number, rule: string, evidence: string) =>
    ({ id, attempt, rule, evidence, kind: 'state', at: '2026-03-01T11:00:00Z', clock: 'server', from: '', to: 'retrying', run: 'r1' }) as RunEvent
  const asked = 'Retry requested by ada: at 05:00:00 UTC'
  const r = run({ attempt: 2, command: `backup ${words}`, state: 'failed', outcome: { state: 'failed', reason: 'could_not_start', message: `Could not start backup ${words}.` } as never })
  const shown = attempts(r, [event(1, 1, 'retry_requested', asked)]).map((a) => inLocalTime(a.evidence, times, now, a.quoted))
  expect(shown).toEqual([`Could not start backup ${words}.`, asked])
})
