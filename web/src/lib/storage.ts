// What this page keeps in the browser: for good, or for as long as the tab is open. Where the
// browser refuses that, values are kept until the page is left.

interface Keeper {
  get(key: string): string | null
  /** Empty removes the value. */
  set(key: string, value: string): void
}

function keeper(area: () => Storage): Keeper {
  const refused = new Map<string, string>()
  return {
    get(key) {
      try {
        return refused.get(key) ?? area().getItem(key)
      } catch {
        return null
      }
    },
    set(key, value) {
      try {
        refused.delete(key)
        if (value) area().setItem(key, value)
        else area().removeItem(key)
      } catch {
        if (value) refused.set(key, value)
      }
    },
  }
}

export const kept = keeper(() => localStorage)
export const keptInTab = keeper(() => sessionStorage)
