// The name of the person at this browser, for servers without a login.
import { app } from './app.svelte'
import { stored } from './storage'

const storageKey = 'stint.name'

export const person = {
  get: () => stored.get(storageKey) ?? '',
  set: (name: string) => stored.set(storageKey, name.trim()),
}

/** The name that the person logged in with; empty without a login. */
export function loginName(): string {
  return app.me?.name ?? ''
}
