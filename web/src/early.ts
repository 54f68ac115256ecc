// Sends the first requests of a page while its code is still loading. The build makes one small
// file of this and what it imports (build/early.ts). lib/api/client.ts takes the answers; an
// answer that is not taken costs one request.
import { apiURL, root, token } from './lib/api/client'
import type { Early } from './lib/early'
import { parseAttempt } from './lib/log/permalink'
import { logURL, tailLines } from './lib/log/source'
import { parseRoute } from './lib/route'

const scope = globalThis as { stintEarly?: Early }

function send(answers: Early, url: string, accept = 'application/json') {
  const headers: Record<string, string> = { Accept: accept }
  if (token()) headers.Authorization = 'Bearer ' + token()
  const answer = fetch(url, { headers, cache: 'no-store' })
  answer.catch(() => {}) // the page that takes the answer handles the error
  answers.set(url, { at: Date.now(), answer })
}

if (!scope.stintEarly) {
  const answers: Early = (scope.stintEarly = new Map())
  const route = parseRoute(location.pathname, root.pathname)
  if (route.page === 'overview') send(answers, apiURL('overview'))
  else if (route.page === 'run') {
    send(answers, apiURL('runs/' + encodeURIComponent(route.id)))
    // Most runs have one attempt, and most addresses have the id of the run.
    const attempt = parseAttempt(location.search) || 1
    if (/^[0-9a-f-]{36}$/.test(route.id)) send(answers, logURL(route.id, attempt, { tail: tailLines }), 'application/x-ndjson')
  }
}
