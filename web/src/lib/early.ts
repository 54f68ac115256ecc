import { api } from './api/client'
import type { Run } from './api/types'
import type { Route } from './route'

// The first page's run is asked for while the code that shows it is still on its way.
let asked: { id: string; run: Promise<Run> } | null = null

export function askEarly(route: Route) {
  if (route.page !== 'run') return
  const run = api.run(route.id)
  run.catch(() => {}) // whoever takes it hears of the error
  asked = { id: route.id, run }
}

/** The answer that was asked for early, once; null when there is none. */
export function takeEarly(id: string): Promise<Run> | null {
  const run = asked?.id === id ? asked.run : null
  asked = null
  return run
}
