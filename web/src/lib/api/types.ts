// Names for the API's values. Their fields come from the OpenAPI document, through schema.d.ts;
// this file narrows some strings to the words that they can be.
import type { components } from './schema'

type S = components['schemas']
/** A with some fields of narrower types. */
type With<A, B> = Omit<A, keyof B> & B

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

export type Usage = S['Usage']
export type OOM = S['OOM']
export type Cancel = S['Cancel']
export type Sample = S['Sample']
export type GPU = S['GPU']
export type Pressure = S['Pressure']
export type Problem = S['Problem']
export type Usual = S['Usual']
export type Neighbors = S['Neighbors']
export type RunEvent = S['RunEvent']
export type Gap = With<S['Gap'], { stream: Stream }>
export type Step = With<S['Step'], { kind: 'install' | 'command'; state: State }>
export type Outcome = With<S['Outcome'], { state: State }>
export type Finding = With<S['Finding'], { health: Health }>
export type Output = With<S['Output'], { gaps: Gap[] | null }>
export type Run = With<
  S['Run'],
  {
    state: State
    health: Health
    findings: Finding[] | null
    outcome: Outcome | null
    steps: Step[] | null
    output: Output
    labels: Record<string, string> | null
    diagnosis?: Diagnosis | null
    expected?: Expected | null
  }
>
export type Acknowledgement = S['Acknowledgement']
export type SentenceTime = S['SentenceTime']
export type StoppedProcesses = S['StoppedProcesses']
export type StoppedProcess = S['StoppedProcess']

type RowField = 'id' | 'job' | 'number' | 'attempt' | 'state' | 'health' | 'findings' | 'diagnosis' | 'outcome' | 'cancel' | 'command' | 'status'
  | 'host' | 'created_at' | 'start_at' | 'delivered_late_seconds' | 'started_at' | 'ended_at' | 'last_heartbeat_at' | 'suspended_at' | 'acknowledged' | 'sentence_times'

/** What a list shows of a run. */
export type RunRow = Pick<Run, RowField | 'expected' | 'submitted'> & { usage: Pick<Usage, 'memory_bytes' | 'peak_memory_bytes'>; usual?: Usual | null; recent?: S['RecentRuns'] }

export type OverviewRun = S['OverviewRun']
export type Overview = S['OverviewAnswer']
export type Due = S['Due']
export type JobDue = S['JobDue']
/** When a job is expected to be started, as it is set. */
export type Expectation = Pick<Due, 'every_seconds' | 'cron' | 'zone' | 'grace_seconds'>
export type DueTimes = S['DueTimes']
export type JobFinding = S['JobFinding']
export type SuggestedDue = S['SuggestedDue']
export type JobDay = With<S['JobDay'], { day: With<S['Day'], { states: State[] }> }>

export type RunPage = With<S['RunList'], { runs: Run[] | null }>
export type Job = With<S['Summary'], { last_run: Run | null; expected?: Expected | null }>

/** A line of the log that states the error. */
export type Evidence = S['Evidence']

/** A possible cause; source is what its evidence repeats, if anything. */
export type Cause = With<S['Cause'], { source?: 'log' | 'outcome' | 'finding' }>

/** Why the server thinks a run is not well. */
export type Diagnosis = With<S['Diagnosis'], { causes: Cause[] | null }>

/** What is usual for the successful runs of a job. */
export type Expected = S['Expected']

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

export type Counts = With<S['RunCounts'], { state: Partial<Record<State, number>>; health: Partial<Record<Health, number>> }>

export type Fleet = S['FleetAnswer']

/** What the last successful runs used at each age. */
export type Band = S['Band']

export type Spread = S['Spread']

export type Changes = S['Changes']

export type Explanation = With<S['Explanation'], { waiting?: QueuedRun }>

export type Policy = S['JobPolicy']

export type PolicyTest = S['PolicyTest']

export type Action = With<S['Action'], { kind: 'notify' | 'cancel' | 'retry'; status: 'pending' | 'done' | 'failed' | 'dropped' }>

export type NotifyRoute = With<S['Route'], { changed_at?: string }>

export type Token = S['Token']

/** A job that the server can start. */
export type DefinedJob = With<S['DefinedJob'], { parameters: ParameterInput[] }>
export type ParameterInput = With<S['ParameterInput'], { choices?: string[] }>
export type ParameterMistake = S['ParameterMistake']
export type SubmitRequest = S['SubmitRequest']
export type DefinitionVersion = With<S['DefinitionVersion'], { changes: string[] }>

/** A reason why a run of the queue has not started. */
export type Gate = With<S['Gate'], { gate: 'held' | 'after' | 'not_before' | 'paused' | 'group' | 'no_worker' | 'no_slot' | 'withheld' | 'turn' }>
export type Priority = 'low' | 'normal' | 'high'
export type QueuedRun = With<S['QueuedRun'], { gates: Gate[]; priority: Priority; state: State }>
export type QueuePage = With<S['QueuePage'], { runs: QueuedRun[] }>
export type Group = S['Group']
export type WorkerInfo = S['WorkerInfo']

/** When the server starts a job by itself. */
export type Schedule = S['Schedule']
export type RunOccurrence = S['RunOccurrence']
export type ScheduledTime = S['ScheduledTime']
export type CalendarResult = 'ran' | 'ran_late' | 'skipped' | 'missed' | 'paused' | 'refused' | 'due' | 'planned'
export type CalendarCount = With<S['CalendarCount'], { result: CalendarResult }>
export type CalendarDay = With<S['CalendarDay'], { counts: CalendarCount[] }>
export type CalendarTime = With<S['CalendarTime'], { result: CalendarResult }>
export type Calendar = With<S['Calendar'], { days: CalendarDay[]; times: CalendarTime[] }>

export type RetryOffer = S['RetryOffer']
export type Me = S['MeAnswer']

export type Settings = S['Settings']

export type TroubledItem = S['TroubledItem']
