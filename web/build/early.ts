import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'vite'

const root = fileURLToPath(new URL('..', import.meta.url))
const name = 'early.js'

/** Builds src/early.ts, with everything that it imports, as one file, and loads that before the page's code. */
export function early(): Plugin {
  return {
    name: 'early',
    apply: 'build',
    async buildStart() {
      this.emitFile({ type: 'asset', name, source: await bundled() })
    },
    transformIndexHtml: {
      order: 'post',
      handler(html, { bundle }) {
        const file = Object.values(bundle ?? {}).find((f) => f.type === 'asset' && f.names.includes(name))
        if (!file) throw new Error('src/early.ts is not in the build')
        return html.replace('<script type="module"', (rest) => `<script type="module" async crossorigin src="./${file.fileName}"></script>\n    ${rest}`)
      },
    },
  }
}

async function bundled(): Promise<string> {
  const result = await build({
    root,
    configFile: false,
    logLevel: 'warn',
    build: { write: false, target: 'es2023', modulePreload: { polyfill: false }, rolldownOptions: { input: 'src/early.ts' } },
  })
  const chunks = [result].flat().flatMap((r) => ('output' in r ? r.output : []))
  const [chunk, ...others] = chunks
  if (chunk?.type !== 'chunk' || others.length > 0 || chunk.imports.length > 0) throw new Error('src/early.ts must become one file without imports')
  return chunk.code
}
