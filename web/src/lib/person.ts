// The name of the person at this browser, for servers that ask nobody to log in.
import { app } from './app.svelte'
import { kept } from './storage'

const key = 'stint.name'

export const person = {
  get: () => kept.get(key) ?? '',
  set: (name: string) => kept.set(key, name.trim()),
}

/** The name that the server knows; empty where nobody logs in. */
export function nameHere(): string {
  return app.me?.name ?? ''
}
