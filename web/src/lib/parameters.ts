// The values of a job's parameters, as a form has them. The server checks them again: what is found
// here is only shown sooner.
import type { ParameterInput } from './api/types'

/** Values by name; one that is left to its default is undefined. */
export type Values = Record<string, string | undefined>

const day = /^\d{4}-\d{2}-\d{2}$/
const instant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/

/** What is wrong with a value; empty for nothing. */
export function mistake(p: ParameterInput, value: string | undefined): string {
  if (value === undefined) return p.default === undefined ? 'it must be given, because it has no default' : ''
  switch (p.type) {
    case 'number':
      if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value) || !Number.isFinite(Number(value))) return 'it is not a number'
      return outside(Number(value), number(p.min), number(p.max), p)
    case 'integer':
      if (!/^-?(0|[1-9]\d*)$/.test(value)) return 'it is not a whole number'
      return outside(BigInt(value), integer(p.min), integer(p.max), p)
    case 'date':
      if (Number.isNaN(Date.parse(value)) || (!instant.test(value) && !(day.test(value) && new Date(value).toISOString().startsWith(value)))) {
        return 'it is not a date such as 2026-11-27'
      }
      return outside(Date.parse(value), time(p.min), time(p.max), p)
  }
  return ''
}

const number = (text: string | undefined) => (text === undefined ? undefined : Number(text))
const integer = (text: string | undefined) => (text === undefined ? undefined : BigInt(text))
const time = (text: string | undefined) => (text === undefined ? undefined : Date.parse(text))

function outside<T extends number | bigint>(value: T, min: T | undefined, max: T | undefined, p: ParameterInput): string {
  if (min !== undefined && value < min) return `it is less than ${p.min}`
  if (max !== undefined && value > max) return `it is more than ${p.max}`
  return ''
}

/** What may be given, in a few words: "integer, 1 to 10". */
export function kind(p: ParameterInput): string {
  const bounds = p.min !== undefined && p.max !== undefined ? `${p.min} to ${p.max}` : p.min !== undefined ? `from ${p.min}` : p.max !== undefined ? `up to ${p.max}` : ''
  return [p.type, bounds, p.pattern ? `matching ${p.pattern}` : ''].filter(Boolean).join(', ')
}

/** The default of a parameter with what it is now: "yesterday = 2026-11-27". */
export function defaultText(p: ParameterInput): string {
  if (p.default === undefined) return ''
  if (p.default === '') return '(empty)'
  return p.resolved !== undefined && p.resolved !== p.default ? `${p.default} = ${p.resolved}` : p.default
}

/** Whether all that is known of a parameter are dates without a time. */
export function isDay(p: ParameterInput, given: string | undefined): boolean {
  return p.type === 'date' && [p.resolved ?? p.default, p.min, p.max, given].every((text) => text === undefined || day.test(text))
}

/** Reads "key=value" words; null if one has no key. */
export function readPairs(text: string): Record<string, string> | null {
  const out: Record<string, string> = {}
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const at = word.indexOf('=')
    if (at <= 0) return null
    out[word.slice(0, at)] = word.slice(at + 1)
  }
  return out
}

export function pairsText(of: Record<string, string> | null | undefined): string {
  return Object.entries(of ?? {}).map(([k, v]) => `${k}=${v}`).join(' ')
}

/** The values that are given, without those that are left to their defaults. */
export function givenOf(values: Values): Record<string, string> {
  return Object.fromEntries(Object.entries(values).filter((pair): pair is [string, string] => pair[1] !== undefined))
}
