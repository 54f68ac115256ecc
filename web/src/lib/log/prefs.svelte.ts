// How this person likes logs; kept in the browser.
import { kept } from '../storage'

export type TimeMode = 'off' | 'local' | 'offset' | 'utc'
export const timeModes: TimeMode[] = ['off', 'local', 'offset', 'utc']

const key = 'stint.log'

class LogPrefs {
  wrap = $state(false)
  time = $state<TimeMode>('local')

  constructor() {
    try {
      const saved = JSON.parse(kept.get(key) ?? '{}') as Partial<LogPrefs>
      this.wrap = saved.wrap === true
      if (saved.time && timeModes.includes(saved.time)) this.time = saved.time
      else if (matchMedia('(max-width: 639px)').matches) this.time = 'off'
    } catch {
      // What was saved is not ours: begin with the defaults.
    }
  }

  save() {
    kept.set(key, JSON.stringify({ wrap: this.wrap, time: this.time }))
  }

  nextTime() {
    this.time = timeModes[(timeModes.indexOf(this.time) + 1) % timeModes.length] ?? 'off'
    this.save()
  }
}

export const prefs = new LogPrefs()
