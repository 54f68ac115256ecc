import type { Settings } from './api/types'
import { count, plural } from './format'

export type PendingKeep = NonNullable<Settings['keep_pending']>[number]

// What a limit of retention keeps, as people write it.
export function keepText(setting: string, keep: number): string {
  if (keep === 0) return 'no limit'
  return setting.endsWith('days') ? `${keep} ${keep === 1 ? 'day' : 'days'}` : `the last ${plural(keep, 'run')}`
}

// What a limit that waits will do, without the time.
export function pendingText(p: PendingKeep): string {
  return `would delete ${count(p.runs)} of ${plural(p.of, 'ended run')} at once; until then: ${keepText(p.setting, p.keep_now)}`
}
