import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHTTP, request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { chromium } from 'playwright-core'

const bin = resolve(process.env.STINT_BIN ?? '../bin/stint')
const browsers = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** A server on a fresh directory, a browser, and a way to run jobs. */
export async function setup() {
  const executablePath = browsers.find((p) => p && existsSync(p))
  if (!executablePath) throw new Error('no Chromium found: apt-get install chromium, or set CHROMIUM')
  if (!existsSync(bin)) throw new Error(`${bin} is not there: run make build, or set STINT_BIN`)
  const dir = mkdtempSync(join(tmpdir(), 'stint-e2e-'))
  const port = await freePort()
  const base = `http://127.0.0.1:${port}/`
  const env = { ...process.env, STINT_SERVER: base, STINT_STATE: join(dir, 'state'), HOME: dir, NO_PROXY: '127.0.0.1' }
  const children = new Set()
  const complaints = new WeakMap()

  function start(args, more = {}) {
    const child = spawn(bin, args, { env: { ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] })
    children.add(child)
    let stderr = ''
    child.stdout.on('data', () => {})
    child.stderr.on('data', (d) => (stderr += d))
    const ended = new Promise((done) => child.once('close', (code) => (children.delete(child), done(code))))
    return { child, ended, stderr: () => stderr }
  }

  const world = {
    base,
    dir,
    server: null,
    async startServer() {
      world.server = start(['server', '--listen', `127.0.0.1:${port}`, '--data', join(dir, 'data'), '--allow-private-targets'])
      await until(async () => (await fetch(base + 'readyz')).ok, 'the server to be ready', () => world.server.stderr())
    },
    async stopServer() {
      world.server.child.kill('SIGTERM')
      await world.server.ended
    },
    /** Runs a job to its end and answers its run. */
    run: (job, script, ...flags) => world.runWith({}, job, script, ...flags),
    /** Starts a job that goes on; answers its run once the server knows it. */
    async begin(job, script, ...flags) {
      const id = uuid() // the job may have other runs
      const going = start(['run', '--quiet', '--run-id', id, '--job', job, ...flags, '-c', script])
      const run = await until(() => world.find(id), `run of ${job}`, () => going.stderr())
      return { run, ...going }
    },
    /** Answers a run; null while the server does not know it. */
    async find(id) {
      const res = await fetch(`${base}api/v1/runs/${id}`)
      return res.ok ? res.json() : null
    },
    async last(job) {
      const res = await fetch(`${base}api/v1/runs?limit=1&job=${encodeURIComponent(job)}`)
      return (await res.json()).runs[0]
    },
    /** Runs a job in an environment of its own to its end and answers its run. */
    async runWith(more, job, script, ...flags) {
      const id = uuid()
      await start(['run', '--quiet', '--run-id', id, '--job', job, ...flags, '-c', script], more).ended
      return world.find(id)
    },
    /** Another server on a directory of its own, which can be stopped and started with other flags. */
    async other(name, ...flags) {
      const itsPort = await freePort()
      const itsBase = `http://127.0.0.1:${itsPort}/`
      let process = null
      const it = {
        base: itsBase,
        async begin(...given) {
          process = start(['server', '--listen', `127.0.0.1:${itsPort}`, '--data', join(dir, name), ...given])
          await until(async () => (await fetch(itsBase + 'readyz')).ok, `the server ${name} to be ready`, () => process.stderr())
        },
        async stop() {
          process.child.kill('SIGTERM')
          await process.ended
        },
        /** Copies its data to another directory while it works. */
        async copy(to) {
          const going = start(['server', 'backup', join(dir, to), '--data', join(dir, name)])
          if ((await going.ended) !== 0) throw new Error(going.stderr())
        },
        /** Calls its API. */
        async api(method, path, body) {
          const res = await fetch(`${itsBase}api/v1/${path}`, { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
          const text = await res.text()
          if (!res.ok) throw new Error(`${method} ${path}: ${text}`)
          return text && JSON.parse(text)
        },
        get: async (path) => (await fetch(`${itsBase}api/v1/${path}`)).json(),
        /** Applies a definition, as stint apply does. */
        apply: (yaml) => it.api('POST', 'definitions', { files: [{ name: 'report.yaml', yaml }], force: true }),
        /** Submits a run of a job. */
        submit: (job, more = {}) => it.api('PUT', 'runs/' + uuid(), { job, ...more }),
        /** A worker of it, which ends with stop or by kill. */
        async worker(name, ...more) {
          const going = start(['worker', 'run', '--name', name, ...more], { STINT_SERVER: itsBase, STINT_STATE: join(dir, 'state-' + name) })
          await until(async () => (await it.get('workers')).workers.some((w) => w.name === name && w.live), `the worker ${name} to ask for runs`, () => going.stderr())
          return { ...going, stop: () => (going.child.kill('SIGTERM'), going.ended) }
        },
        async run(job, script, ...more) {
          await start(['run', '--quiet', '--job', job, ...more, '-c', script], { STINT_SERVER: itsBase }).ended
          return (await (await fetch(`${itsBase}api/v1/runs?limit=1&job=${job}`)).json()).runs[0]
        },
      }
      await it.begin(...flags)
      return it
    },
    until,
    /** A proxy that serves the server under a prefix and strips it, as people's own do. */
    async proxy(prefix) {
      const front = createHTTP((req, res) => {
        if (!req.url.startsWith(prefix + '/')) return void res.writeHead(404).end()
        const onward = request(
          { port, host: '127.0.0.1', path: req.url.slice(prefix.length), method: req.method, headers: { ...req.headers, host: `127.0.0.1:${port}` } },
          (answer) => answer.pipe(res.writeHead(answer.statusCode, answer.headers)),
        )
        onward.on('error', () => res.destroy())
        res.on('close', () => onward.destroy())
        req.pipe(onward)
      })
      await new Promise((done) => front.listen(0, '127.0.0.1', done))
      const close = () => {
        front.closeAllConnections()
        front.close()
      }
      return { base: `http://127.0.0.1:${front.address().port}${prefix}/`, close }
    },
    complaints: (page) => complaints.get(page.context()) ?? [],
    /** A page in a context of its own; what the browser complains of is kept. */
    async open(options = {}) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, baseURL: base, ...options })
      const noise = []
      complaints.set(context, noise)
      const page = await context.newPage()
      page.setDefaultTimeout(15_000)
      page.on('pageerror', (e) => noise.push(String(e)))
      page.on('console', (m) => {
        // Answers with 4xx and a server that is away are part of some tests.
        if (m.type() === 'error' && !m.text().startsWith('Failed to load resource')) noise.push(m.text())
      })
      page.on('dialog', (d) => (noise.push('dialog: ' + d.message()), void d.dismiss()))
      return page
    },
    async close(clean) {
      await browser.close()
      for (const child of children) child.kill('SIGKILL')
      if (clean) rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 }) // the jobs of killed agents end a moment later
    },
  }
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  })
  try {
    await world.startServer()
  } catch (err) {
    await world.close(false)
    throw err
  }
  return world
}

/** An id for a run, of version 7. */
function uuid() {
  const hex = Date.now().toString(16).padStart(12, '0') + '7' + randomBytes(10).toString('hex').slice(1)
  return hex.slice(0, 8) + '-' + hex.slice(8, 12) + '-' + hex.slice(12, 16) + '-8' + hex.slice(17, 20) + '-' + hex.slice(20, 32)
}

/** Waits until work answers something, for a bounded time. */
async function until(work, what, why = () => '', seconds = 20) {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    try {
      const got = await work()
      if (got) return got
    } catch (err) {
      if (Date.now() > deadline) throw new Error(`waited too long for ${what}. ${await why()}`, { cause: err })
    }
    if (Date.now() > deadline) throw new Error(`waited too long for ${what}. ${await why()}`)
    await new Promise((done) => setTimeout(done, 50))
  }
}

function freePort() {
  return new Promise((done, fail) => {
    const s = createServer()
    s.once('error', fail)
    s.listen(0, '127.0.0.1', () => {
      const { port } = s.address()
      s.close(() => done(port))
    })
  })
}
