// Keys without a modifier act on the whole page. They can be switched off: who dictates text, or
// has hands that slip, presses them by accident.
import { kept } from './storage'

const name = 'stint.keys'

class Keys {
  on = $state(kept.get(name) !== 'off')

  set(on: boolean) {
    this.on = on
    kept.set(name, on ? '' : 'off')
  }

  /** A key is meant for the page, not for a field, a dialog or the browser. */
  takes(e: KeyboardEvent): boolean {
    const typing = (e.target as HTMLElement | null)?.closest?.('input, select, textarea, dialog')
    return this.on && !e.metaKey && !e.ctrlKey && !e.altKey && !typing
  }
}

export const keys = new Keys()
