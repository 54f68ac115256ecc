import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import type { Plugin } from 'vite'

interface Licence {
  name: string
  version: string
  licence: string
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const modules = fileURLToPath(new URL('../node_modules', import.meta.url))

/** The packages whose code is in the page. */
const inPage = ['svelte', 'uplot', '@tanstack/virtual-core', '@lucide/svelte', 'tailwindcss', 'esm-env', 'clsx']

/** Provides "virtual:licences": the licences of the libraries in the page and in the programs. */
export function licences(): Plugin {
  const id = 'virtual:licences'
  return {
    name: 'licences',
    resolveId: (wanted) => (wanted === id ? '\0' + id : undefined),
    load: (wanted) => (wanted === '\0' + id ? `export default ${JSON.stringify({ page: fromPackages(), programs: fromModules() })}` : undefined),
  }
}

function fromPackages(): Licence[] {
  return inPage
    .map((name) => join(modules, name, 'package.json'))
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, 'utf8')) as { name: string; version: string; license?: string })
    .map((p) => ({ name: p.name, version: p.version, licence: p.license ?? 'see its page' }))
}

/** The Go modules of the programs, from go list; none without Go. */
function fromModules(): Licence[] {
  try {
    const format = '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}'
    const text = execFileSync('go', ['list', '-deps', '-f', format, './cmd/stint', './cmd/stint-agent'], {
      cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 24,
    })
    const lines = [...new Set(text.split('\n').filter(Boolean))].sort()
    return lines.map((line) => {
      const [name = '', version = '', ...dir] = line.split(' ')
      return { name, version, licence: licenceIn(dir.join(' ')) }
    })
  } catch {
    return []
  }
}

// Texts that only one licence has; the first match decides.
const marks: [RegExp, string][] = [
  [/Apache License\s+Version 2\.0/, 'Apache-2.0'],
  [/Mozilla Public License,? version 2\.0/i, 'MPL-2.0'],
  [/Permission is hereby granted, free of charge/, 'MIT'],
  [/Permission to use, copy, modify, and(\/or)? distribute this software/, 'ISC'],
  [/Neither the name of|may not be used to endorse or promote/, 'BSD-3-Clause'],
  [/Redistribution and use in source and binary forms/, 'BSD-2-Clause'],
  [/This is free and unencumbered software/, 'Unlicense'],
]

function licenceIn(dir: string): string {
  if (!dir || !existsSync(dir)) return 'see its page'
  const file = readdirSync(dir).find((f) => /^(licen[cs]e|copying)/i.test(f))
  if (!file) return 'see its page'
  const text = readFileSync(join(dir, file), 'utf8')
  return marks.find(([mark]) => mark.test(text))?.[1] ?? 'see its page'
}
