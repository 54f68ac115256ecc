// What the page costs, measured in Chromium on the real server with real runs:
//   STINT_BIN=../bin/stint npm run bench [part of a measurement's name]
// Prints one line per figure; docs/engineering/benchmarks.md says what they mean.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { get } from 'node:http'
import { setup } from '../e2e/setup.mjs'

const wanted = process.argv[2] ?? ''
const gib = Number(process.env.STINT_BENCH_LOG_BYTES ?? 2 ** 30)
const world = await setup()
const say = (what, got, target) => console.log(`${what.padEnd(62)} ${String(got).padStart(12)}   target ${target}`)

const measurements = {
  async 'first page, JavaScript and CSS, gzip'() {
    const html = await (await fetch(world.base)).text()
    const names = [...html.matchAll(/(?:src|href)="\.?\/?(assets\/[^"]+)"/g)].map((m) => m[1])
    const sizes = await Promise.all(names.map((n) => gzipped(world.base + n)))
    say('first page, JavaScript and CSS, gzip', `${(sizes.reduce((a, b) => a + b, 0) / 1000).toFixed(1)} KB`, '≤ 90 KB')
  },

  async 'first page usable, processor slowed down 4 times'() {
    for (let i = 0; i < 8; i++) await world.run('warm-' + (i % 4), 'echo hello')
    const times = []
    for (let i = 0; i < 5; i++) {
      const page = await world.open()
      await throttle(page, 4)
      await page.goto('', { waitUntil: 'commit' })
      await page.getByRole('region', { name: /^Jobs/ }).waitFor()
      times.push(await page.evaluate(() => performance.now()))
      await page.context().close()
    }
    say('first page usable, processor slowed down 4 times (median of 5)', ms(median(times)), '≤ 1000 ms')
  },

  async 'a long log: open at its end, scroll through it'() {
    const script = `python3 -c "
import sys
line = b'%010d epoch 17/40 loss 0.2141 the quick brown fox jumps over the lazy dog, again and again and again ......\\n'
n, size = 0, 0
while size < ${gib}:
    block = b''.join(line % i for i in range(n, n + 20000)); n += 20000; size += len(block)
    sys.stdout.buffer.write(block)
"`
    const run = await world.run('long', script, '--flush-timeout', '5m')
    const small = await world.run('one-line', 'echo hello')
    const [times, yardstick] = [[], []]
    const { lines } = run.output
    for (let i = 0; i < 5; i++) {
      yardstick.push(await timeToLine(small.id, 1))
      times.push(await timeToLine(run.id, lines))
    }
    say(`open a log of ${(run.output.bytes / 2 ** 30).toFixed(2)} GiB, ${lines} lines, at its end (median of 5)`, ms(median(times)), '≤ 500 ms')
    say('  yardstick of the same minute: open a log of one line', ms(median(yardstick)), '')
    const page = await world.open()
    await page.goto('runs/' + run.id)
    await page.locator(`[data-n="${lines}"]`).waitFor()
    await scrollThrough(page, lines)
    const tab = await rendererMemory(page)
    say('  its tab after scrolling end to end: JavaScript heap', mb(tab.heap), '')
    say('  its tab after scrolling end to end: whole process, PSS', mb(tab.pss), '≤ 150 MB')
    await page.context().close()
  },

  async 'a job that prints 20,000 lines a second, followed live'() {
    const script = `python3 -c "
import sys, time
begin = time.monotonic()
for i in range(300):
    sys.stdout.write(''.join('line %07d of many, as a busy job prints them\\n' % (i * 1000 + k) for k in range(1000))); sys.stdout.flush()
    time.sleep(max(0, begin + (i + 1) * 0.05 - time.monotonic()))
"`
    const job = await world.begin('busy', script)
    const page = await world.open()
    await page.goto('runs/' + job.run.id)
    await page.locator('[data-n]').first().waitFor()
    const frames = await page.evaluate(
      () =>
        new Promise((done) => {
          const gaps = []
          let last = performance.now()
          const end = last + 10_000
          const frame = (now) => {
            gaps.push(now - last)
            last = now
            now < end ? requestAnimationFrame(frame) : done(gaps)
          }
          requestAnimationFrame(frame)
        }),
    )
    await job.ended
    const run = await world.until(async () => {
      const got = await world.last('busy')
      return got.output.complete ? got : null
    }, 'the busy run to be whole')
    await page.locator(`[data-n="${run.output.lines}"]`).waitFor({ timeout: 60_000 })
    const drawn = await page.$$eval('[data-n]', (rows) => rows.map((r) => Number(r.dataset.n)))
    const whole = drawn.every((n, i) => i === 0 || n === drawn[i - 1] + 1)
    say('20,000 lines a second followed: longest frame of 10 s', ms(Math.max(...frames)), '≤ 100 ms')
    say('  frames over 100 ms', frames.filter((f) => f > 100).length, '0')
    say(`  at the end line ${run.output.lines} is there, lines are`, whole ? 'whole' : 'NOT WHOLE', 'whole')
    await page.context().close()
  },

  async '1,000 live runs on the overview, at rest'() {
    const jobs = Array.from({ length: 1000 }, (_, i) => `live-${i % 100}-${i}`)
    const report = (job, what, body) =>
      fetch(`${world.base}compat/${job}/${what}`, { method: 'PUT', body, headers: body ? { 'Content-Type': 'application/json' } : {} })
    for (let i = 0; i < jobs.length; i += 50) await Promise.all(jobs.slice(i, i + 50).map((j) => report(j, 'status', '{"status":"started"}')))
    let at = 0
    const beats = setInterval(() => void report(jobs[at++ % jobs.length], 'heartbeat', '').catch(() => {}), 10)
    const page = await world.open()
    await page.goto('')
    await page.getByText(/more are running/).waitFor()
    const cdp = await page.context().newCDPSession(page)
    await cdp.send('Performance.enable')
    const busy = async () => (await cdp.send('Performance.getMetrics')).metrics.find((m) => m.name === 'TaskDuration').value
    await new Promise((done) => setTimeout(done, 3000))
    const [before, began] = [await busy(), performance.now()]
    await new Promise((done) => setTimeout(done, 20_000))
    const share = (100 * ((await busy()) - before)) / ((performance.now() - began) / 1000)
    clearInterval(beats)
    say('1,000 live runs on the overview: of one core, over 20 s', `${share.toFixed(1)} %`, '≤ 10 %')
    await page.context().close()
  },
}

async function timeToLine(id, line) {
  const page = await world.open()
  await page.goto('runs/' + id, { waitUntil: 'commit' })
  await page.locator(`[data-n="${line}"]`).waitFor({ timeout: 60_000 })
  const took = await page.evaluate(() => performance.now())
  await page.context().close()
  return took
}

async function scrollThrough(page, lines) {
  for (let i = 0; i <= 60; i++) {
    const line = Math.max(1, Math.round((lines * (60 - i)) / 60))
    await page.evaluate((n) => (location.hash = '#L' + n), line)
    await page.locator(`[data-n="${line}"]`).waitFor({ timeout: 30_000 })
  }
}

/** What the tab's process holds, as the kernel counts it: shared pages in proportion. */
async function rendererMemory(page) {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('HeapProfiler.collectGarbage')
  await cdp.send('Performance.enable')
  const heap = (await cdp.send('Performance.getMetrics')).metrics.find((m) => m.name === 'JSHeapUsedSize').value
  const pids = await renderers()
  const pss = Math.max(...pids.map((pid) => 1024 * Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0)))
  return { heap, pss }
}

function renderers() {
  return new Promise((done) => {
    const ps = spawn('ps', ['-eo', 'pid,args'])
    let text = ''
    ps.stdout.on('data', (d) => (text += d))
    ps.on('close', () => done(text.split('\n').filter((l) => l.includes('--type=renderer') && l.includes('chromium')).map((l) => Number.parseInt(l, 10))))
  })
}

async function throttle(page, rate) {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Emulation.setCPUThrottlingRate', { rate })
}

function gzipped(url) {
  return new Promise((done, fail) => {
    get(url, { headers: { 'Accept-Encoding': 'gzip' } }, (res) => {
      let size = 0
      res.on('data', (d) => (size += d.length))
      res.on('end', () => done(size))
    }).on('error', fail)
  })
}

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]
const ms = (v) => `${Math.round(v)} ms`
const mb = (v) => `${(v / 1e6).toFixed(0)} MB`

try {
  for (const [name, measure] of Object.entries(measurements)) if (name.includes(wanted)) await measure()
} finally {
  await world.close(true)
}
