// Whether the log of a run that has ended is all that its job printed.
import type { Run } from './api/types'

/** What the page says about the output of a run: a word, why, and whether something may be missing. */
export interface OutputProof {
  text: string
  title: string
  missing: boolean
}

export function outputProof(run: Run): OutputProof {
  if (!run.output.complete) return { text: 'incomplete', title: '', missing: true }
  if (endUnseen(run)) {
    return {
      text: 'as far as its agent had read it',
      title: 'The run is lost: the server has the whole journal of its agent, but output that the agent had not read is missing.',
      missing: true,
    }
  }
  return { text: 'verified complete', title: "The server's copy has the length and the digest of the agent's journal, and there is no gap.", missing: false }
}

/** Whether the agent died while a process of the job ran, as for stint show. A run of pings has no process. */
function endUnseen(run: Run): boolean {
  return run.state === 'lost' && (run.steps ?? []).some((s) => (s.pid ?? 0) > 0 && (!s.ended_at || s.state === 'lost'))
}
