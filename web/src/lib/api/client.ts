import { takeEarly } from '../early'
import { storedInTab } from '../storage'
import type * as t from './types'

/** The address that the page is served under; read once, before any navigation. */
export const root = new URL(typeof document === 'undefined' ? 'http://localhost/' : document.baseURI)

/** A place in a text that was sent, counted from 1. */
export interface Place {
  line: number
  column: number
}

/** A mistake in a text that was sent. */
export interface Mistake extends Place {
  detail: string
}

/** An answer that is not a success, or no answer at all (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** Where the mistake is in the text that was sent. */
    readonly place: Place | null = null,
    /** All mistakes in the text, where the server reports more than the first. */
    readonly mistakes: Mistake[] = [],
    /** All mistakes in values of parameters. */
    readonly parameters: t.ParameterMistake[] = [],
  ) {
    super(message)
  }

  static of(err: unknown): ApiError {
    return err instanceof ApiError ? err : new ApiError(0, messageOf(err))
  }

  /** The same request may succeed later. */
  get temporary(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500
  }
}

/** What an error says to a person. */
export function messageOf(err: unknown): string {
  return err instanceof Error ? err.message : String(err)
}

const tokenKey = 'stint.token'

export function token(): string {
  return storedInTab.get(tokenKey) ?? ''
}

export function setToken(value: string) {
  storedInTab.set(tokenKey, value)
}

/** How far the server's clock is ahead of this computer's, in ms; 0 until they differ by over 2 s. */
let skew = 0
export function serverNow(): number {
  return Date.now() + skew
}

function readServerClock(res: Response) {
  const date = Date.parse(res.headers.get('Date') ?? '')
  if (Number.isNaN(date)) return
  const ahead = date + 500 - Date.now() // the header counts whole seconds
  skew = Math.abs(ahead) > 2000 ? ahead : 0
}

/** How far the server's clock is ahead, in ms; 0 while the two agree. */
export function clockSkew(): number {
  return skew
}

/** Called when an answer requires a login. */
export const onLoginRequired = new Set<() => void>()

/** Reports that an answer requires a login. */
export function loginRequired() {
  onLoginRequired.forEach((call) => call())
}

export type Query = Record<string, string | number | boolean | string[] | undefined>

export function apiURL(path: string, query: Query = {}): string {
  const url = new URL('api/v1/' + path, root)
  for (const [key, value] of Object.entries(query)) {
    if (Array.isArray(value)) value.forEach((v) => url.searchParams.append(key, v))
    else if (value !== undefined && value !== '') url.searchParams.set(key, String(value))
  }
  return url.href
}

/** Sends a request. Errors are ApiErrors, except for an abort. */
export async function call(url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers)
  if (token()) headers.set('Authorization', 'Bearer ' + token())
  // A form of another site cannot send this, whatever cookie goes with it.
  if (init.method && init.method !== 'GET') headers.set('X-Stint-CSRF', '1')
  let res: Response
  const early = init.method ? null : takeEarly(url)
  try {
    res = await (early ?? fetch(url, { ...init, headers, cache: 'no-store' }))
    if (early) init.signal?.throwIfAborted()
  } catch (err) {
    if (init.signal?.aborted) throw err
    throw new ApiError(0, 'The server does not answer.')
  }
  if (!early) readServerClock(res) // the age of an early answer is not known
  if (res.ok) return res
  const problem = await problemOf(res)
  if (problem?.type === 'urn:stint:unauthorized') {
    loginRequired()
    throw new ApiError(res.status, 'You are not logged in. Log in to continue.') // the server's sentence is for programs
  }
  if (!problem) throw new ApiError(res.status, `HTTP ${res.status}, and not from a Stint server: is there a proxy in between?`)
  throw new ApiError(res.status, problem.detail || problem.title, problem.line ? { line: problem.line, column: problem.column ?? 1 } : null, problem.mistakes ?? [], problem.parameters ?? [])
}

/** The server's description of an error; null if the answer is not from a Stint server. */
async function problemOf(res: Response): Promise<t.Problem | null> {
  try {
    const problem = (await res.json()) as Partial<t.Problem> | null
    return problem?.type?.startsWith('urn:stint:') ? (problem as t.Problem) : null
  } catch {
    return null
  }
}

async function json<T>(path: string, query: Query = {}, init: RequestInit = {}): Promise<T> {
  const res = await call(apiURL(path, query), { ...init, headers: { Accept: 'application/json', ...init.headers } })
  return (res.status === 204 ? null : await res.json()) as T
}

/** Sends JSON. */
function send<T>(method: string, path: string, body: unknown = {}, query: Query = {}): Promise<T> {
  return json<T>(path, query, { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
}

/**
 * The answer of an optional part of the API, or null if the server does not have it (it is older, or
 * the part is switched off) or the request fails. The page then omits what depends on it.
 */
export async function optional<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer
  } catch {
    return null
  }
}

/** The answer, or null if what was asked for is not there. */
export async function nullIfMissing<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer
  } catch (err) {
    if (err instanceof ApiError && err.status === 404) return null
    throw err
  }
}

const enc = encodeURIComponent
const run = (id: string, more = '') => 'runs/' + enc(id) + more
const jobPath = (name: string, more = '') => 'jobs/' + enc(name) + more
const definitionPath = (name: string, more = '') => 'definitions/' + enc(name) + more
const schedulePath = (job: string, number: number, more: string) => `schedules/${enc(job)}/${number}${more}`

export interface RunFilter {
  job?: string
  state?: string
  health?: string
  label?: string[]
  host?: string
  since?: string
  until?: string
  q?: string
  limit?: number
  cursor?: string
}

const maxJobPages = 25

async function allJobs(signal?: AbortSignal): Promise<{ jobs: t.Job[] }> {
  const jobs: t.Job[] = []
  let cursor: string | undefined
  for (let page = 0; page < maxJobPages; page++) {
    const got = await json<{ jobs: t.Job[] | null; next_cursor: string | null }>('jobs', { cursor }, { signal })
    jobs.push(...(got.jobs ?? []))
    if (!got.next_cursor) break
    cursor = got.next_cursor
  }
  return { jobs }
}

async function allDefinitions(signal?: AbortSignal): Promise<t.DefinedJob[]> {
  const all: t.DefinedJob[] = []
  let cursor: string | undefined
  for (let page = 0; page < maxJobPages; page++) {
    const got = await json<{ definitions: t.DefinedJob[]; next_cursor: string | null }>('definitions', { cursor }, { signal })
    all.push(...got.definitions)
    if (!got.next_cursor) break
    cursor = got.next_cursor
  }
  return all
}

export interface OverviewQuery {
  attention_cursor?: string
  jobs_cursor?: string
  older?: boolean
}

export interface QueueQuery {
  job?: string
  group?: string
  held?: boolean
  limit?: number
  cursor?: string
}

export const api = {
  overview: (q: OverviewQuery = {}, signal?: AbortSignal) => json<t.Overview>('overview', { ...q }, { signal }),
  runs: (f: RunFilter = {}, signal?: AbortSignal) => json<t.RunPage>('runs', { ...f }, { signal }),
  counts: (f: RunFilter, signal?: AbortSignal) => json<t.Counts>('runs/counts', { ...f }, { signal }),
  run: (id: string, signal?: AbortSignal, attempt?: number) => json<t.Run>(run(id), { attempt }, { signal }),
  samples: (id: string, query: { points: number; attempt?: number; from?: string; to?: string }, signal?: AbortSignal) =>
    json<{ samples: t.Sample[] | null; total: number }>(run(id, '/samples'), query, { signal }),
  band: (id: string, points: number, signal?: AbortSignal) => json<t.Band>(run(id, '/band'), { points }, { signal }),
  neighbors: (id: string, signal?: AbortSignal) => json<t.Neighbors>(run(id, '/neighbors'), {}, { signal }),
  changes: (id: string, other = '', signal?: AbortSignal) =>
    json<t.Changes>(run(id, '/changes'), { with: other }, { signal }),
  explain: (id: string, signal?: AbortSignal) => json<t.Explanation>(run(id, '/explain'), {}, { signal }),
  actions: (id: string, signal?: AbortSignal) =>
    json<{ actions: t.Action[] | null }>(run(id, '/actions'), {}, { signal }),
  events: (id: string, signal?: AbortSignal) =>
    json<{ events: t.RunEvent[] | null }>(run(id, '/events'), {}, { signal }),
  jobs: allJobs,
  job: (name: string, signal?: AbortSignal) => json<t.Job>(jobPath(name), {}, { signal }),
  suggestedDue: (name: string, zone: string, signal?: AbortSignal) => json<{ suggested: t.SuggestedDue | null }>(jobPath(name, '/due/suggestion'), { zone }, { signal }),
  dismissSuggestion: (name: string) => json<unknown>(jobPath(name, '/due/suggestion'), {}, { method: 'DELETE' }),

  deleteRun: (id: string) => json<unknown>(run(id), {}, { method: 'DELETE' }),
  deleteJob: (name: string) => json<unknown>(jobPath(name), {}, { method: 'DELETE' }),

  cancel: (id: string, why: string) => send<unknown>('POST', run(id, '/cancel'), { by: 'the page', why }),
  cancelMany: (runs: string[], reason: string) =>
    send<{ results: { run: string; canceled?: boolean; error?: string }[] }>('POST', 'runs/cancel', { runs, reason }),
  retryOffer: (id: string, signal?: AbortSignal) => json<t.RetryOffer>(run(id, '/retry'), {}, { signal }),
  retry: (id: string) => send<unknown>('POST', run(id, '/retry')),
  acknowledge: (id: string, by: string, why: string) => send<t.Run>('POST', run(id, '/acknowledge'), { by, why }),
  unacknowledge: (id: string, by: string) => json<t.Run>(run(id, '/acknowledge'), { by }, { method: 'DELETE' }),

  policy: (name: string, signal?: AbortSignal) => json<t.Policy>(jobPath(name, '/policy'), {}, { signal }),
  setPolicy: (name: string, yaml: string) => json<t.Policy>(jobPath(name, '/policy'), {}, yamlBody('PUT', yaml)),
  dropPolicy: (name: string) => json<unknown>(jobPath(name, '/policy'), {}, { method: 'DELETE' }),
  testPolicy: (name: string, yaml: string) =>
    json<t.PolicyTest>(jobPath(name, '/policy/test'), {}, yamlBody('POST', yaml)),

  definitions: allDefinitions,
  definition: (name: string, version = '', signal?: AbortSignal) => json<t.DefinedJob>(definitionPath(name), { version }, { signal }),
  definitionVersions: (name: string, signal?: AbortSignal) => json<{ versions: t.DefinitionVersion[] }>(definitionPath(name, '/versions'), {}, { signal }),
  setDefinition: (name: string, yaml: string, base: string, force: boolean) =>
    json<t.DefinedJob>(definitionPath(name), { base, force: force || undefined }, yamlBody('PUT', yaml)),
  previewDefinition: (name: string, yaml: string) =>
    send<{ results: { changes: string[] }[] }>('POST', 'definitions', { files: [{ name, yaml }], dry_run: true, force: true }),
  pauseJob: (name: string, by: string, why: string) => send<t.DefinedJob>('POST', definitionPath(name, '/pause'), { by, why }),
  resumeJob: (name: string) => json<t.DefinedJob>(definitionPath(name, '/resume'), {}, { method: 'POST' }),

  schedules: (job: string, signal?: AbortSignal) => json<{ schedules: t.Schedule[] }>('schedules', { job }, { signal }),
  scheduledTimes: (job: string, n: number, signal?: AbortSignal) => json<{ times: t.ScheduledTime[] }>('schedules/times', { job, n }, { signal }),
  pauseSchedule: (job: string, number: number, by: string, why: string) => send<t.Schedule>('POST', schedulePath(job, number, '/pause'), { by, why }),
  resumeSchedule: (job: string, number: number) => json<t.Schedule>(schedulePath(job, number, '/resume'), {}, { method: 'POST' }),
  calendar: (name: string, q: { from?: string; days?: number; limit?: number }, signal?: AbortSignal) => json<t.Calendar>(jobPath(name, '/calendar'), q, { signal }),

  dueTimes: (name: string, e: t.Expectation, signal?: AbortSignal) => json<t.DueTimes>(jobPath(name, '/due/times'), { ...e }, { signal }),
  due: (name: string, signal?: AbortSignal) => json<t.JobDue>(jobPath(name, '/due'), {}, { signal }),
  setDue: (name: string, e: t.Expectation & Pick<t.JobDue, 'labels'>) => send<t.Due>('PUT', jobPath(name, '/due'), e),
  pauseDue: (name: string) => send<t.Due>('POST', jobPath(name, '/due/pause')),
  resumeDue: (name: string) => send<t.Due>('POST', jobPath(name, '/due/resume')),
  dropDue: (name: string) => json<unknown>(jobPath(name, '/due'), {}, { method: 'DELETE' }),

  submit: (id: string, request: t.SubmitRequest) => send<t.Run>('PUT', run(id), request),
  queue: (q: QueueQuery, signal?: AbortSignal) => json<t.QueuePage>('queue', { ...q }, { signal }),
  releaseHeld: (by: string) => send<{ released: number }>('POST', 'queue/release', { by }),
  setPriority: (id: string, priority: t.Priority) => send<t.Run>('POST', run(id, '/priority'), { priority }),
  groups: (signal?: AbortSignal) => json<{ groups: t.Group[] }>('groups', {}, { signal }),
  setGroup: (name: string, limit: number) => send<t.Group>('PUT', 'groups/' + enc(name), { limit }),
  workers: (signal?: AbortSignal) => json<{ workers: t.WorkerInfo[] }>('workers', {}, { signal }),
  drainWorker: (name: string, by: string, reason: string, deadline_ms: number) =>
    send<t.WorkerInfo>('POST', `workers/${enc(name)}/drain`, { by, reason, deadline_ms }),
  resumeWorker: (name: string) => json<t.WorkerInfo>(`workers/${enc(name)}/resume`, {}, { method: 'POST' }),

  me: (signal?: AbortSignal) => json<t.Me>('me', {}, { signal }),
  login: (token: string) => send<{ name: string; scope: string }>('POST', 'login', { token }),
  logout: () => send<unknown>('POST', 'logout'),
  settings: (signal?: AbortSignal) => json<t.Settings>('settings', {}, { signal }),
  troubled: (signal?: AbortSignal) => json<{ items: t.TroubledItem[] }>('troubled', {}, { signal }),
  tokens: (signal?: AbortSignal) => json<{ tokens: t.Token[] | null }>('tokens', {}, { signal }),
  makeToken: (name: string, scope: string, expires_seconds?: number) =>
    send<{ token: string }>('POST', 'tokens', { name, scope, ...(expires_seconds ? { expires_seconds } : {}) }),
  dropToken: (id: string) => json<unknown>('tokens/' + enc(id), {}, { method: 'DELETE' }),
  routes: (signal?: AbortSignal) => json<{ routes: t.NotifyRoute[] | null }>('routes', {}, { signal }),
  setRoute: (route: t.NotifyRoute) => send<t.NotifyRoute>('PUT', 'routes/' + enc(route.name), route),
  dropRoute: (name: string) => json<unknown>('routes/' + enc(name), {}, { method: 'DELETE' }),
  testRoute: (name: string) => send<{ ok: boolean; error?: string }>('POST', `routes/${enc(name)}/test`),
}

function yamlBody(method: string, yaml: string): RequestInit {
  return { method, headers: { 'Content-Type': 'application/yaml' }, body: yaml }
}
