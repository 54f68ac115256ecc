/** Answers that were asked for before the page's code was here (src/early.ts), by address. */
export type Early = Map<string, { at: number; answer: Promise<Response> }>

const freshMs = 5000
const scope = globalThis as { stintEarly?: Early }

/** From here on nothing is asked early any more: the page asks by itself. */
export function endEarly() {
  scope.stintEarly ??= new Map()
}

/** The answer that was asked for early, once; null when there is none, or an old one. */
export function takeEarly(url: string): Promise<Response> | null {
  const found = scope.stintEarly?.get(url)
  scope.stintEarly?.delete(url)
  return found && Date.now() - found.at < freshMs ? found.answer : null
}
