export type Route =
  | { page: 'overview' }
  | { page: 'runs' }
  | { page: 'run'; id: string }
  | { page: 'jobs' }
  | { page: 'job'; name: string }
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
    if (second === '' && (first === 'compare' || first === 'settings')) return { page: first }
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

/** The path of a route, relative to the root. */
export const path = {
  overview: () => './',
  runs: (query: { [k: string]: string } = {}) => {
    const q = new URLSearchParams(query).toString()
    return q ? 'runs?' + q : 'runs'
  },
  run: (id: string, attempt = 0) => 'runs/' + encodeURIComponent(id) + (attempt > 0 ? '?attempt=' + attempt : ''),
  compare: (a: string, b: string) => `compare?a=${encodeURIComponent(a)}&b=${encodeURIComponent(b)}`,
  settings: () => 'settings',
  jobs: () => 'jobs',
  job: (name: string) => 'jobs/' + encodeURIComponent(name),
}
