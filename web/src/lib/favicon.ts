import type { State } from './api/types'
import { styleOf, type Tone } from './state'

const colours: Record<Tone, string> = {
  accent: '#2f80ed', good: '#12a370', bad: '#e2502f', warn: '#d98a00', lost: '#a857c0', quiet: '#7a8494',
}
const shapes: Record<string, string> = {
  succeeded: '<path d="M3 8.5 6.5 12 13 4.5"/>',
  failed: '<path d="m4 4 8 8M12 4l-8 8"/>',
  timed_out: '<circle cx="8" cy="8" r="6"/><path d="M8 4.5V8l2.5 2"/>',
  lost: '<path d="M1 9h3l2-5 3 8 2-5h4"/>',
  canceled: '<circle cx="8" cy="8" r="6"/><path d="m4 4 8 8"/>',
  queued: '<circle cx="8" cy="8" r="6"/>',
}

/** Sets the tab's icon to the shape and colour of a state; null restores it. */
export function setFavicon(state: State | null) {
  const link = document.querySelector<HTMLLinkElement>('link[rel=icon]')
  if (!link) return
  if (!state) {
    link.href = 'favicon.svg'
    return
  }
  const colour = colours[styleOf(state).tone]
  const shape = shapes[state] ?? `<circle cx="8" cy="8" r="5" fill="${colour}"/>`
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" fill="none" stroke="${colour}" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round">${shape}</svg>`
  link.href = 'data:image/svg+xml,' + encodeURIComponent(svg)
}
