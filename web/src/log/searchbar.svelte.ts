import { tick } from 'svelte'
import { sameQuery, type SearchQuery } from '../lib/log/search'
import type { LogView } from './view.svelte'

const typingPauseMs = 300
const continueAfterMs = 700
const contextLines = 2 // around each match when only matches are shown

/** The search bar of a log: what is typed, when it is searched, and how a search continues while the log grows. */
export class SearchBarState {
  text = $state('')
  regex = $state(false)
  matchCase = $state(false)
  private typing: ReturnType<typeof setTimeout> | undefined
  private continuing: ReturnType<typeof setTimeout> | undefined
  /** Lines of the log that the search covers. */
  private searchedLines = 0

  constructor(readonly view: LogView) {}

  /** Searches after a pause in typing. */
  typed() {
    clearTimeout(this.typing)
    this.typing = setTimeout(() => this.submit(), typingPauseMs)
  }

  /** Searches for what is typed; reports whether that is a new search. */
  submit(): boolean {
    clearTimeout(this.typing)
    const query = { q: this.text, regex: this.regex, case: this.matchCase }
    if (sameQuery(query, this.view.search.query)) return false
    void this.search(query)
    return true
  }

  toggleCase() {
    this.matchCase = !this.matchCase
    this.submit()
  }

  toggleRegex() {
    this.regex = !this.regex
    this.submit()
  }

  clear() {
    this.text = ''
    this.submit()
  }

  /** Shows only matches with the lines around them, or the whole log again. */
  async toggleFilter() {
    const { view } = this
    const on = !view.filtering
    view.setFilter(on)
    this.searchedLines = view.total
    if (on) await view.search.start(view.search.query, view.stream, contextLines)
  }

  /** Searches the lines that were added to a live log, after a pause. Call it when the log may have grown. */
  continueSearch(live: boolean) {
    const { view } = this
    const grown = view.total > this.searchedLines
    const ready = live && view.search.on && !view.search.busy
    if (!grown || !ready || this.continuing) return
    this.continuing = setTimeout(() => {
      this.continuing = undefined
      const from = Math.max(1, this.searchedLines - contextLines)
      this.searchedLines = view.total
      void view.search.continueFrom(from, view.stream, view.filtering ? contextLines : 0)
    }, continueAfterMs)
  }

  close() {
    clearTimeout(this.typing)
    clearTimeout(this.continuing)
  }

  private async search(query: SearchQuery) {
    const { view } = this
    await tick()
    if (query.q === '' && view.filtering) view.setFilter(false)
    this.searchedLines = view.total
    await view.search.start(query, view.stream, view.filtering ? contextLines : 0)
    if (query === view.search.query && !view.filtering && view.search.lines.length > 0) await view.goToMatch(false)
  }
}
