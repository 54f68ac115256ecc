import type { Job, Problem, Run, RunEvent, RunPage, Sample } from './types'

/** The address that the page is served under; read once, before any navigation. */
export const root = new URL(typeof document === 'undefined' ? 'http://localhost/' : document.baseURI)

/** An answer that is not a success, or no answer at all (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
  }

  /** The same request may succeed later. */
  get temporary(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500
  }
}

const tokenKey = 'stint.token'

export function token(): string {
  return sessionStorage.getItem(tokenKey) ?? ''
}

export function setToken(value: string) {
  if (value) sessionStorage.setItem(tokenKey, value)
  else sessionStorage.removeItem(tokenKey)
}

/** How far the server's clock is ahead of ours, in ms; 0 until it differs by over 2 s. */
let skew = 0
export function serverNow(): number {
  return Date.now() + skew
}

function learnClock(res: Response) {
  const date = Date.parse(res.headers.get('Date') ?? '')
  if (Number.isNaN(date)) return
  const ahead = date + 500 - Date.now() // the header counts whole seconds
  skew = Math.abs(ahead) > 2000 ? ahead : 0
}

export function apiURL(path: string, query: Record<string, string | number | undefined> = {}): string {
  const url = new URL('api/v1/' + path, root)
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') url.searchParams.set(key, String(value))
  }
  return url.href
}

/** Does a request and turns whatever goes wrong into an ApiError; an abort stays an abort. */
export async function call(url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers)
  if (token()) headers.set('Authorization', 'Bearer ' + token())
  let res: Response
  try {
    res = await fetch(url, { ...init, headers, cache: 'no-store' })
  } catch (err) {
    if (init.signal?.aborted) throw err
    throw new ApiError(0, 'The server does not answer.')
  }
  learnClock(res)
  if (res.ok) return res
  throw new ApiError(res.status, await reason(res))
}

async function reason(res: Response): Promise<string> {
  try {
    const problem = (await res.json()) as Problem
    return problem.detail || problem.title || `HTTP ${res.status}`
  } catch {
    return `The server answered HTTP ${res.status}.`
  }
}

async function json<T>(path: string, query = {}, init: RequestInit = {}): Promise<T> {
  const res = await call(apiURL(path, query), { ...init, headers: { Accept: 'application/json', ...init.headers } })
  return (await res.json()) as T
}

const enc = encodeURIComponent

export interface RunFilter {
  job?: string
  state?: string
  health?: string
  q?: string
  limit?: number
  cursor?: string
}

export const api = {
  runs: (f: RunFilter = {}, signal?: AbortSignal) => json<RunPage>('runs', { ...f }, { signal }),
  run: (id: string, signal?: AbortSignal) => json<Run>('runs/' + enc(id), {}, { signal }),
  samples: (id: string, points: number, signal?: AbortSignal) =>
    json<{ samples: Sample[] | null }>(`runs/${enc(id)}/samples`, { points }, { signal }),
  events: (id: string, signal?: AbortSignal) =>
    json<{ events: RunEvent[] | null }>(`runs/${enc(id)}/events`, {}, { signal }),
  jobs: (signal?: AbortSignal) => json<{ jobs: Job[] | null }>('jobs', {}, { signal }),
  job: (name: string, signal?: AbortSignal) => json<Job>('jobs/' + enc(name), {}, { signal }),
  cancel: (id: string, why: string) =>
    json<unknown>(`runs/${enc(id)}/cancel`, {}, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ by: 'the page', why }),
    }),
}
