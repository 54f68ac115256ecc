// The processes of a job just before the agent stopped it for a limit.
import type { Run, StoppedProcess, StoppedProcesses } from './api/types'

export interface ProcessInTree extends StoppedProcess {
  /** The number of its ancestors in the list. */
  depth: number
}

/** The notes of a run, without those that describe processes. */
export function otherNotes(run: Run): string[] {
  return (run.notes ?? []).filter((_, i) => !run.stopped_processes?.notes.includes(i))
}

/** The processes, parents before their children. */
export function processTree(stopped: StoppedProcesses): ProcessInTree[] {
  const flat = stopped.processes
  const known = new Set(flat.map((p) => p.pid))
  const out: ProcessInTree[] = []
  const add = (p: StoppedProcess, depth: number) => {
    if (out.some((o) => o.pid === p.pid)) return // processes can name each other as parents
    out.push({ ...p, depth })
    for (const child of flat) if (child.parent === p.pid && child.pid !== p.pid) add(child, depth + 1)
  }
  for (const p of flat) if (!known.has(p.parent) || p.parent === p.pid) add(p, 0)
  for (const p of flat) add(p, 0)
  return out
}
