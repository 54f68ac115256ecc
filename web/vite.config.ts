import { fileURLToPath } from 'node:url'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import tailwind from '@tailwindcss/vite'
import { defineConfig } from 'vitest/config'
import { early } from './build/early.ts'
import { licences } from './build/licences.ts'
import { precompress } from './build/precompress.ts'

const out = fileURLToPath(new URL('../internal/web/dist', import.meta.url))

export default defineConfig({
  // Relative, so that the page works under any sub-path: the server sets <base> per request.
  base: './',
  plugins: [svelte(), tailwind(), early(), licences(), precompress()],
  build: {
    outDir: out,
    emptyOutDir: true,
    manifest: true, // the server reads from it what a page's code needs
    target: 'es2023',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // the content security policy allows files only
  },
  server: {
    // `npm run dev` beside a real server: STINT_SERVER says where.
    proxy: { '/api': process.env.STINT_SERVER ?? 'http://127.0.0.1:7846' },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
})
