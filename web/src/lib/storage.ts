// Values that the browser stores: permanently, or for as long as the tab is open. If the browser
// does not allow that, they last until the page is left.

interface Store {
  get(key: string): string | null
  /** An empty value removes the key. */
  set(key: string, value: string): void
}

function store(area: () => Storage): Store {
  const notStored = new Map<string, string>()
  return {
    get(key) {
      try {
        return notStored.get(key) ?? area().getItem(key)
      } catch {
        return null
      }
    },
    set(key, value) {
      try {
        notStored.delete(key)
        if (value) area().setItem(key, value)
        else area().removeItem(key)
      } catch {
        if (value) notStored.set(key, value)
      }
    },
  }
}

export const stored = store(() => localStorage)
export const storedInTab = store(() => sessionStorage)
