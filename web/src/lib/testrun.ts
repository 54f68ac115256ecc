import type { Run } from './api/types'

/** A healthy run for tests, with some fields set. */
export function testRun(over: Partial<Run>): Run {
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
