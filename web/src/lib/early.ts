/** Answers to requests that were sent before the page's code was loaded (src/early.ts), by address. */
export type Early = Map<string, { at: number; answer: Promise<Response> }>

const maxAgeMs = 5000
const scope = globalThis as { stintEarly?: Early }

/** Prevents further early requests: the page's code is loaded. */
export function endEarly() {
  scope.stintEarly ??= new Map()
}

/** Takes the answer to an early request, once; null when there is none, or only an old one. */
export function takeEarly(url: string): Promise<Response> | null {
  const found = scope.stintEarly?.get(url)
  scope.stintEarly?.delete(url)
  return found && Date.now() - found.at < maxAgeMs ? found.answer : null
}
