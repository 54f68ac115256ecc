import type { Plugin } from 'vite'

/** Puts src/early.ts, a file of its own, in front of the page's code. */
export function early(): Plugin {
  return {
    name: 'early',
    apply: 'build',
    buildStart() {
      this.emitFile({ type: 'chunk', id: 'src/early.ts', name: 'early' })
    },
    transformIndexHtml: {
      order: 'post',
      handler(html, { bundle }) {
        const chunk = Object.values(bundle ?? {}).find((f) => f.type === 'chunk' && f.name === 'early')
        if (chunk?.type !== 'chunk' || chunk.imports.length > 0) throw new Error('src/early.ts must be one file without imports')
        return html.replace('<script type="module"', (rest) => `<script type="module" async crossorigin src="./${chunk.fileName}"></script>\n    ${rest}`)
      },
    },
  }
}
