// The processes of a job that was stopped, as the agent's notes describe them (internal/agent/diagnose).

export interface Process {
  pid: number
  parent: number
  name: string
  /** What it did: its state, the call it was in, its CPU time, what it had open. */
  facts: string[]
  /** How many of its ancestors are listed, too. */
  depth: number
}

export interface Stopped {
  /** Parents before their children. */
  processes: Process[]
  /** What the agent says of processes that it does not describe. */
  more: string
}

const heads = ['diagnosis before the stop: ', 'diagnosis, continued']
const line = /^(.*) \(pid (\d+), parent (\d+)\): (.*)$/

function describesProcesses(note: string): boolean {
  return heads.some((h) => note.startsWith(h))
}

/** The notes that are about something else. */
export function otherNotes(notes: string[]): string[] {
  return notes.filter((n) => !describesProcesses(n))
}

/** The processes that the notes describe; null when they describe none. */
export function stoppedProcesses(notes: string[]): Stopped | null {
  const described = notes.filter(describesProcesses)
  const flat: Process[] = []
  let more = ''
  for (const text of described.flatMap((n) => n.split('\n').slice(1))) {
    const m = line.exec(text)
    if (m) flat.push({ name: m[1]!, pid: Number(m[2]), parent: Number(m[3]), facts: m[4]!.split('; '), depth: 0 })
    else more = text
  }
  return flat.length > 0 ? { processes: inTree(flat), more } : null
}

function inTree(flat: Process[]): Process[] {
  const known = new Set(flat.map((p) => p.pid))
  const out: Process[] = []
  const add = (p: Process, depth: number) => {
    if (out.some((o) => o.pid === p.pid)) return // pids that name each other as parents
    out.push({ ...p, depth })
    for (const child of flat) if (child.parent === p.pid && child.pid !== p.pid) add(child, depth + 1)
  }
  for (const p of flat) if (!known.has(p.parent) || p.parent === p.pid) add(p, 0)
  for (const p of flat) add(p, 0)
  return out
}
