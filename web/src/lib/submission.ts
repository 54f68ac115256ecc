// How a run was submitted, as facts for a person.
import type { Run } from './api/types'
import { moment, utc } from './format'

const pairs = (of: Record<string, string> | undefined) => Object.entries(of ?? {}).map(([k, v]) => `${k}=${v}`).join('  ')

/** The facts that are known of a submission, with their names. */
export function submissionFacts(run: Run, now: number): [string, string][] {
  const s = run.submitted
  if (!s) return []
  const when = (iso: string | undefined) => (iso ? `${moment(iso, now)} (${utc(iso)})` : '')
  const rows: [string, string][] = [
    ['Submitted', `${when(s.at)} by ${s.by}`],
    ['Definition', s.definition ? `version ${s.definition.slice(0, 12)}` : 'none: a command'],
    ['Worker', s.worker ?? ''],
    ['Priority', s.priority],
    ['Group', s.group ?? ''],
    ['Requires', pairs(s.requires)],
    ['Not before', when(s.not_before)],
    ['Start by', when(s.start_by)],
    ['After', (s.after ?? []).map((d) => `${d.run} ${d.when}`).join(', ')],
    ['Key', s.key ?? ''],
  ]
  return rows.filter(([, value]) => value !== '')
}
