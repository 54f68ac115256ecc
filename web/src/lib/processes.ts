// The processes of a stopped job. The agent describes them in notes (internal/agent/diagnose).

export interface Process {
  pid: number
  parent: number
  name: string
  /** Its state, system call, CPU time and open files. */
  facts: string[]
  /** The number of its ancestors in the list. */
  depth: number
}

export interface Stopped {
  /** Parents before their children. */
  processes: Process[]
  /** A line about processes that are not described. */
  more: string
}

const heads = ['diagnosis before the stop: ', 'diagnosis, continued']
const line = /^(.*) \(pid (\d+), parent (\d+)\): (.*)$/

function describesProcesses(note: string): boolean {
  return heads.some((h) => note.startsWith(h))
}

/** The other notes. */
export function otherNotes(notes: string[]): string[] {
  return notes.filter((n) => !describesProcesses(n))
}

/** The processes in the notes; null when there are none. */
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
    if (out.some((o) => o.pid === p.pid)) return // processes can name each other as parents
    out.push({ ...p, depth })
    for (const child of flat) if (child.parent === p.pid && child.pid !== p.pid) add(child, depth + 1)
  }
  for (const p of flat) if (!known.has(p.parent) || p.parent === p.pid) add(p, 0)
  for (const p of flat) add(p, 0)
  return out
}
