/** What keys do in a log. */
export interface LogCommands {
  focusSearch(): void
  goToMatch(backwards: boolean): void
  goToStart(): void
  goToEnd(): void
  toggleFollow(): void
  toggleWrap(): void
  nextTimeFormat(): void
  goToNextError(): void
}

type Command = (log: LogCommands) => void

/** The keys of a log as the list of keys shows them, with the command of each. */
export const logKeys: readonly { keys: string; help: string; commands: Record<string, Command> }[] = [
  { keys: '/', help: 'search the log', commands: { '/': (log) => log.focusSearch() } },
  { keys: 'n  N', help: 'next, previous match', commands: { n: (log) => log.goToMatch(false), N: (log) => log.goToMatch(true) } },
  { keys: 'g  G', help: 'first line, end', commands: { g: (log) => log.goToStart(), G: (log) => log.goToEnd() } },
  { keys: 'f', help: 'follow the end', commands: { f: (log) => log.toggleFollow() } },
  { keys: 'w', help: 'wrap long lines', commands: { w: (log) => log.toggleWrap() } },
  { keys: 't', help: 'times: off, local, since start, UTC', commands: { t: (log) => log.nextTimeFormat() } },
  { keys: 'e', help: 'next error line', commands: { e: (log) => log.goToNextError() } },
]

const commands = new Map(logKeys.flatMap((row) => Object.entries(row.commands)))

/** Runs the command of a key; reports whether the key has one. */
export function runLogKey(key: string, log: LogCommands): boolean {
  const command = commands.get(key)
  command?.(log)
  return command !== undefined
}

/** Whether a key selects everything, as Ctrl+A does. */
export function selectsAll(e: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey'>): boolean {
  return e.key === 'a' && (e.ctrlKey || e.metaKey)
}
