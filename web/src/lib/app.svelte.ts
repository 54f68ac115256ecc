// What the whole page shares: where it is, what time it is, its theme, whether live
// updates arrive. Started once by main.ts.
import { api, clockSkew, onLocked, optional, root, serverNow } from './api/client'
import type { Me } from './api/types'
import { parseRoute, type Route } from './route'
import { kept } from './storage'

export type Theme = 'system' | 'light' | 'dark'
const themeKey = 'stint.theme'

class App {
  route = $state<Route>(parseRoute(location.pathname, root.pathname))
  search = $state(location.search)
  /** The server's time in ms, moving once a second while the page is seen. */
  now = $state(serverNow())
  theme = $state<Theme>(readTheme())
  dark = $state(false)
  /** The streams that are being reopened now. */
  private broken = $state(0)
  /** An answer said that nobody is logged in, or not any more. */
  locked = $state(false)
  /** Who the server thinks we are; null where it does not say. */
  me = $state.raw<Me | null>(null)
  /** How far the server's clock is ahead of this computer's, in seconds; 0 when they agree. */
  skew = $state(0)

  get reconnecting() {
    return this.broken > 0
  }

  /** Keeps count of broken streams: call it with each change, and release at the end. */
  connection(): { set(open: boolean): void; release(): void } {
    let down = false
    const set = (open: boolean) => {
      if (down === !open) return
      down = !open
      this.broken += down ? 1 : -1
    }
    return { set, release: () => set(true) }
  }

  /** Somebody was logged in since this page was opened. */
  private wasIn = $state(false)

  /** Somebody was logged in, and is not any more. */
  get loggedOut() {
    return this.locked && this.wasIn
  }

  async learnMe() {
    this.me = (await optional(api.me())) ?? this.me
    if (this.me?.scope) this.wasIn = true
  }

  go(href: string, replace = false) {
    const url = new URL(href, root)
    if (replace) history.replaceState(null, '', url)
    else history.pushState(null, '', url)
    this.read()
    if (!replace) window.scrollTo(0, 0)
  }

  read() {
    this.route = parseRoute(location.pathname, root.pathname)
    this.search = location.search
  }

  setTheme(theme: Theme) {
    this.theme = theme
    kept.set(themeKey, theme === 'system' ? '' : theme)
    this.paint()
  }

  paint() {
    const system = matchMedia('(prefers-color-scheme: dark)').matches
    this.dark = this.theme === 'dark' || (this.theme === 'system' && system)
    document.documentElement.dataset.theme = this.dark ? 'dark' : 'light'
  }

  start() {
    this.paint()
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.paint())
    addEventListener('popstate', () => this.read())
    addEventListener('click', (e) => this.click(e))
    onLocked.add(() => (this.locked = true))
    setInterval(() => {
      if (document.hidden) return
      this.now = serverNow()
      const skew = Math.round(clockSkew() / 1000)
      if (Math.abs(skew - this.skew) > 2) this.skew = skew
    }, 1000)
    void this.learnMe()
    document.addEventListener('visibilitychange', () => (this.now = serverNow()))
  }

  /** Follows links inside the page without loading it anew. */
  private click(e: MouseEvent) {
    if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
    const a = (e.target as Element | null)?.closest?.('a')
    if (!a || a.target || a.hasAttribute('download')) return
    const url = new URL(a.href)
    if (url.origin !== root.origin || !url.pathname.startsWith(root.pathname)) return
    if (url.pathname.slice(root.pathname.length).startsWith('api/')) return
    e.preventDefault()
    this.go(url.href)
  }
}

function readTheme(): Theme {
  const t = kept.get(themeKey)
  return t === 'light' || t === 'dark' ? t : 'system'
}

export const app = new App()
export const version = document.querySelector<HTMLMetaElement>('meta[name=stint-version]')?.content ?? ''
