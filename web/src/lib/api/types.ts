// The API's answers as package job writes them. One definition per Go type, same order.

export type State =
  | 'queued'
  | 'starting'
  | 'installing'
  | 'running'
  | 'stopping'
  | 'retrying'
  | 'succeeded'
  | 'failed'
  | 'canceled'
  | 'timed_out'
  | 'lost'

export type Health = '' | 'healthy' | 'warning' | 'critical'
export type Stream = 'stdout' | 'stderr'

export interface Run {
  id: string
  job: string
  number: number
  attempt: number
  state: State
  health: Health
  findings: Finding[] | null
  outcome: Outcome | null
  steps: Step[] | null
  command: string
  args: string[] | null
  dir: string
  host: string
  containment: string
  agent_version: string
  labels: Record<string, string> | null
  created_at: string
  started_at: string | null
  ended_at: string | null
  last_heartbeat_at: string | null
  status: string
  usage: Usage
  output: Output
  cancel: Cancel | null
  notes: string[] | null
}

export interface Step {
  index: number
  name: string
  kind: 'install' | 'command'
  command: string
  state: State
  pid?: number
  started_at: string
  ended_at: string | null
  exit_code: number | null
  signal?: string
  message?: string
}

export interface Usage {
  cpu_seconds: number
  memory_bytes: number
  peak_memory_bytes: number
  processes: number
  read_bytes: number
  written_bytes: number
}

export interface Output {
  bytes: number
  lines: number
  complete: boolean
  gaps: Gap[] | null
}

export interface Gap {
  step: number
  stream: Stream
  at_bytes: number
  bytes: number
  lines: number
  reason: string
  at: string
}

export interface Outcome {
  state: State
  reason: string
  exit_code: number | null
  signal?: string
  signal_number?: number
  core_dumped?: boolean
  errno?: string
  step?: string
  by?: string
  oom?: OOM
  message: string
}

export interface OOM {
  limit_bytes: number
  peak_bytes: number
  kills: number
  victim?: string
  victim_pid?: number
  at?: string
}

export interface Finding {
  rule: string
  health: Health
  since: string
  evidence: string
  next?: string
  next_at?: string | null
}

export interface Cancel {
  by: string
  why?: string
  at: string
}

export interface Sample {
  at: string
  cpu_seconds: number
  cpu_cores: number
  memory_bytes: number
  cache_bytes?: number
  peak_bytes?: number
  limit_bytes?: number
  processes: number
  threads?: number
  read_bytes?: number
  write_bytes?: number
}

export interface RunEvent {
  id: number
  run: string
  attempt: number
  at: string
  clock: 'server' | 'agent'
  kind: 'state' | 'health'
  from: string
  to: string
  rule: string
  evidence: string
}

export interface Usual {
  runs: number
  duration_p50_seconds: number
  duration_p95_seconds: number
  peak_memory_p50_bytes: number
  peak_memory_p95_bytes: number
}

export interface Job {
  name: string
  runs: number
  active: number
  succeeded: number
  last_run: Run | null
  last_success_at: string | null
  usual: Usual | null
}

export interface RunPage {
  runs: Run[] | null
  next_cursor: string | null
}

/** One line of the log as application/x-ndjson gives it. */
export interface LogLine {
  n: number
  at: string
  step: number
  stream: Stream
  text?: string
  base64?: string
  open?: boolean
  truncated?: boolean
  bytes?: number
}

export interface Problem {
  type?: string
  title: string
  status: number
  detail?: string
}
