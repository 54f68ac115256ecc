export type Route =
  | { page: 'overview' }
  | { page: 'runs' }
  | { page: 'run'; id: string }
  | { page: 'jobs' }
  | { page: 'job'; name: string }
  | { page: 'queue' }
  | { page: 'workers' }
  | { page: 'worker'; name: string }
  | { page: 'compare' }
  | { page: 'settings' }
  | { page: 'missing'; path: string }

/** Reads a path under the root; the root's own path ends with a slash. */
export function parseRoute(pathname: string, rootPath: string): Route {
  const rest = pathname.startsWith(rootPath) ? pathname.slice(rootPath.length) : pathname.replace(/^\//, '')
  const [first = '', second = '', ...more] = rest.split('/')
  if (more.length === 0) {
    if (first === '' && second === '') return { page: 'overview' }
    if (first === 'runs') return second ? { page: 'run', id: decode(second) } : { page: 'runs' }
    if (second === '' && (first === 'compare' || first === 'settings' || first === 'queue')) return { page: first }
    if (first === 'workers') return second ? { page: 'worker', name: decode(second) } : { page: 'workers' }
    if (first === 'jobs') return second ? { page: 'job', name: decode(second) } : { page: 'jobs' }
  }
  return { page: 'missing', path: pathname }
}

function decode(s: string): string {
  try {
    return decodeURIComponent(s)
  } catch {
    return s
  }
}

function withQuery(page: string, query: { [k: string]: string }): string {
  const q = new URLSearchParams(query).toString()
  return q ? page + '?' + q : page
}

/** The path of a route, relative to the root. */
export const path = {
  overview: () => './',
  runs: (query: { [k: string]: string } = {}) => withQuery('runs', query),
  run: (id: string, attempt = 0) => 'runs/' + encodeURIComponent(id) + (attempt > 0 ? '?attempt=' + attempt : ''),
  compare: (a: string, b: string) => `compare?a=${encodeURIComponent(a)}&b=${encodeURIComponent(b)}`,
  settings: () => 'settings',
  queue: (query: { [k: string]: string } = {}) => withQuery('queue', query),
  workers: () => 'workers',
  worker: (name: string) => 'workers/' + encodeURIComponent(name),
  jobs: () => 'jobs',
  job: (name: string) => 'jobs/' + encodeURIComponent(name),
}
