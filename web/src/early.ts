// Asks for what the first page will need while its code is still on its way. It stands
// alone, without imports, so that nothing has to arrive before it; lib/api/client.ts takes
// the answers. What is asked here and not taken costs one request, nothing else: a browser
// test looks that none is asked twice.
import type { Early } from './lib/early'

const scope = globalThis as { stintEarly?: Early }

if (!scope.stintEarly) {
  const asked: Early = (scope.stintEarly = new Map())
  const root = new URL(document.baseURI)
  const token = (() => {
    try {
      return sessionStorage.getItem('stint.token') ?? ''
    } catch {
      return '' // this browser keeps nothing
    }
  })()

  const ask = (path: string, accept = 'application/json') => {
    const url = new URL('api/v1/' + path, root).href
    const headers: Record<string, string> = { Accept: accept }
    if (token) headers.Authorization = 'Bearer ' + token
    const answer = fetch(url, { headers, cache: 'no-store' })
    answer.catch(() => {}) // whoever takes it hears of the error
    asked.set(url, { at: Date.now(), answer })
  }

  const [first = '', second = '', ...more] = location.pathname.slice(root.pathname.length).split('/')
  if (first === '') {
    ask('overview')
  } else if (first === 'runs' && second && more.length === 0) {
    ask('runs/' + second)
    // Most runs have one attempt, and an address with the run's id.
    const attempt = new URLSearchParams(location.search).get('attempt') ?? '1'
    if (/^[0-9a-f-]{36}$/.test(second)) ask(`runs/${second}/log?attempt=${encodeURIComponent(attempt)}&tail=200`, 'application/x-ndjson')
  }
}
