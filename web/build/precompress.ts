import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import type { Plugin } from 'vite'

const worthIt = /\.(js|css|svg|webmanifest)$/

/** Writes .br and .gz files beside the built files, if they are smaller. The server serves them as they are. */
export function precompress(): Plugin {
  let dir = ''
  return {
    name: 'precompress',
    apply: 'build',
    configResolved(config) {
      dir = config.build.outDir
    },
    closeBundle() {
      for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' })) {
        const file = join(dir, name)
        if (!worthIt.test(name) || !statSync(file).isFile()) continue
        const raw = readFileSync(file)
        const br = brotliCompressSync(raw, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } })
        const gz = gzipSync(raw, { level: 9 })
        if (br.length < raw.length * 0.9) writeFileSync(file + '.br', br)
        if (gz.length < raw.length * 0.9) writeFileSync(file + '.gz', gz)
      }
    },
  }
}
