// Shortcuts of one key, which act on the whole page. They can be switched off, for people who
// press them by accident, for example while they dictate text.
import { stored } from './storage'

const storageKey = 'stint.keys'

class Keys {
  on = $state(stored.get(storageKey) !== 'off')

  set(on: boolean) {
    this.on = on
    stored.set(storageKey, on ? '' : 'off')
  }

  /** Whether a key is for the page, and not for a field, a dialog or the browser. */
  takes(e: KeyboardEvent): boolean {
    const typing = (e.target as HTMLElement | null)?.closest?.('input, select, textarea, dialog')
    return this.on && !e.metaKey && !e.ctrlKey && !e.altKey && !typing
  }
}

export const keys = new Keys()
