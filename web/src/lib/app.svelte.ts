// The state that the whole page shares: its address, the time, its theme, and whether live
// updates arrive. main.ts starts it once.
import { api, clockSkew, onLoginRequired, optional, root, serverNow } from './api/client'
import type { Me } from './api/types'
import { allows, type Scope } from './scope'
import { parseRoute, type Route } from './route'
import { stored } from './storage'

export type Theme = 'system' | 'light' | 'dark'
const themeKey = 'stint.theme'

class App {
  route = $state<Route>(parseRoute(location.pathname, root.pathname))
  search = $state(location.search)
  /** The server's time in ms, updated once a second while the page is visible. */
  now = $state(serverNow())
  theme = $state<Theme>(readTheme())
  dark = $state(false)
  /** The number of streams that are being reopened. */
  private reopening = $state(0)
  /** An answer required a login. */
  loginRequired = $state(false)
  /** The person or token of this page; null if the server does not say. */
  me = $state.raw<Me | null>(null)
  /** The server was asked who this is, and has answered or not. */
  private asked = $state(false)
  /** How far the server's clock is ahead of this computer's, in seconds; 0 when they agree. */
  skew = $state(0)

  get reconnecting() {
    return this.reopening > 0
  }

  /** Counts one stream: set reports whether it is open, and release ends that. */
  connection(): { set(open: boolean): void; release(): void } {
    let down = false
    const set = (open: boolean) => {
      if (down === !open) return
      down = !open
      this.reopening += down ? 1 : -1
    }
    return { set, release: () => set(true) }
  }

  /** Somebody was logged in after this page was opened. */
  private wasLoggedIn = $state(false)

  /** The login ended after this page was opened. */
  get loggedOut() {
    return this.loginRequired && this.wasLoggedIn
  }

  async loadMe() {
    this.me = (await optional(api.me())) ?? this.me
    this.asked = true
    if (this.me?.scope) this.wasLoggedIn = true
  }

  /**
   * Whether the person may do what needs a scope; not before that is known, so that no control is shown and removed.
   * A server that does not say who it is decides itself.
   */
  may(wanted: Scope): boolean {
    return this.asked && (this.me === null || allows(this.me.scope, wanted))
  }

  /** Whether it is known that the person may not do what needs a scope. */
  lacks(wanted: Scope): boolean {
    return this.asked && !this.may(wanted)
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
    stored.set(themeKey, theme === 'system' ? '' : theme)
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
    onLoginRequired.add(() => (this.loginRequired = true))
    setInterval(() => {
      if (document.hidden) return
      this.now = serverNow()
      const skew = Math.round(clockSkew() / 1000)
      if (Math.abs(skew - this.skew) > 2) this.skew = skew
    }, 1000)
    void this.loadMe()
    document.addEventListener('visibilitychange', () => (this.now = serverNow()))
  }

  /** Follows links within the page without reloading it. */
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
  const t = stored.get(themeKey)
  return t === 'light' || t === 'dark' ? t : 'system'
}

export const app = new App()
export const version = document.querySelector<HTMLMetaElement>('meta[name=stint-version]')?.content ?? ''
