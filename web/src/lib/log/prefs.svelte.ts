// How this browser shows logs.
import { stored } from '../storage'

export type TimeMode = 'off' | 'local' | 'offset' | 'utc'
export const timeModes: TimeMode[] = ['off', 'local', 'offset', 'utc']

const storageKey = 'stint.log'

class LogPrefs {
  wrap = $state(false)
  time = $state<TimeMode>('local')

  constructor() {
    try {
      const saved = JSON.parse(stored.get(storageKey) ?? '{}') as Partial<LogPrefs>
      this.wrap = saved.wrap === true
      if (saved.time && timeModes.includes(saved.time)) this.time = saved.time
      else if (matchMedia('(max-width: 639px)').matches) this.time = 'off'
    } catch {
      // Another program saved something else: use the defaults.
    }
  }

  private save() {
    stored.set(storageKey, JSON.stringify({ wrap: this.wrap, time: this.time }))
  }

  toggleWrap() {
    this.wrap = !this.wrap
    this.save()
  }

  nextTime() {
    this.time = timeModes[(timeModes.indexOf(this.time) + 1) % timeModes.length] ?? 'off'
    this.save()
  }
}

export const prefs = new LogPrefs()
