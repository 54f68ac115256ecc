// The overview: what needs attention, who knows of it, and that busy servers move nothing.
import assert from 'node:assert/strict'
import { faults } from './tests.mjs'

const seen = (locator) => locator.waitFor({ state: 'visible' })
const attention = (page) => page.getByRole('region', { name: 'Needs attention' })
const rows = (page, list = 'Runs that need attention') => page.getByRole('list', { name: list }).locator('[data-run]')
const ids = (page) => rows(page).evaluateAll((all) => all.map((e) => e.dataset.run))

/** Reports runs of a job without an agent, which takes two small requests each. */
async function quick(base, job, status) {
  for (const step of ['started', status]) {
    const res = await fetch(`${base}compat/${job}/status`, { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ status: step }) })
    const answer = await res.text()
    assert.ok(res.ok, answer)
  }
}

/** Does work for 0, 1 … n-1, sixteen at a time, in no order. */
async function many(n, work) {
  let next = 0
  await Promise.all(Array.from({ length: 16 }, async () => {
    while (next < n) await work(next++)
  }))
}

/** The requests of a page to the API, without streams. */
function requests(page) {
  const asked = []
  page.on('request', (r) => {
    const { pathname } = new URL(r.url())
    if (pathname.includes('/api/v1/') && !pathname.endsWith('/stream')) asked.push(pathname.split('/api/v1/')[1])
  })
  return asked
}

export const overview = {
  async 'two thousand quick runs move no row of attention, and cost few requests'(page, world) {
    const other = await world.other('busy')
    await other.run('payroll', 'echo "ValueError: no such table" >&2; exit 3')
    await other.run('backup', 'sleep 30; true', '--timeout', '1s')
    const asked = requests(page)
    await page.goto(other.base)
    await seen(rows(page).nth(1))
    assert.deepEqual(asked.filter((a) => a !== 'me'), ['overview'], 'one request feeds the first view')
    const before = await ids(page)
    await page.evaluate(() => {
      window.moved = 0
      const list = document.querySelector('[aria-label="Runs that need attention"]')
      new MutationObserver((changes) => (window.moved += changes.length)).observe(list, { childList: true })
    })
    const began = Date.now()
    // Twenty jobs beside each other, the hundred runs of each one after another.
    await Promise.all(Array.from({ length: 20 }, async (_, n) => {
      for (let i = 0; i < 100; i++) await quick(other.base, `cron-${n}`, 'completed')
    }))
    await seen(page.getByRole('region', { name: /^Jobs/ }).getByText('100 runs').nth(19))
    const reloads = (Date.now() - began) / 2000
    console.log(`     2,000 runs in ${Math.round(2 * reloads)} s`)
    assert.deepEqual(await ids(page), before)
    assert.equal(await page.evaluate(() => window.moved), 0, 'rows of attention were taken out or put in')
    const counted = asked.filter((a) => a === 'overview').length
    assert.ok(counted <= reloads + 3, `${counted} requests in the time of ${reloads} reloads`)
    // Rows of runs that take long ask for their curves; nothing else is asked for.
    assert.deepEqual(asked.filter((a) => !/^(me|overview|runs\/[^/]+\/samples)$/.test(a)), [])
    assert.ok(asked.length <= 8 * reloads + 20, `${asked.length} requests in the time of ${reloads} reloads`)
    // The jobs that failed keep their strips.
    const strip = page.getByRole('region', { name: /^Jobs/ })
    await seen(strip.getByRole('link', { name: /^#1 failed/ }))
    await strip.getByRole('link', { name: /^#1 failed/ }).click()
    await seen(page.getByRole('heading', { name: /payroll/ }))
    await page.goto(other.base)
    await page.reload()
    await seen(rows(page).nth(1))
    assert.deepEqual(await ids(page), before)
    await other.stop()
  },

  async 'a failure is acknowledged with name and reason, listed last, and counted again after undo'(page, world) {
    const other = await world.other('acknowledged')
    const first = await other.run('first', 'exit 3')
    const second = await other.run('second', 'exit 4')
    const watching = await page.context().newPage()
    await watching.goto(other.base)
    await seen(rows(watching).nth(1))
    await page.goto(`${other.base}runs/${second.id}`)
    await page.getByRole('button', { name: 'Acknowledge' }).waitFor()
    await page.keyboard.press('a')
    const dialog = page.getByRole('dialog', { name: /Acknowledge second #1/ })
    assert.deepEqual(await faults(page), [], 'the dialog')
    await dialog.getByLabel('Your name').fill('ada')
    await dialog.getByLabel('Reason (optional)').fill('the disk is replaced')
    await dialog.getByRole('button', { name: 'Acknowledge' }).click()
    const message = page.getByText(/^Acknowledged by ada (now|\d+ . ago): the disk is replaced$/)
    await seen(message)
    assert.equal(await page.getByRole('button', { name: 'Acknowledge' }).count(), 0)
    await page.getByRole('tab', { name: 'Events' }).click()
    const event = page.getByRole('tabpanel', { name: 'Events' }).getByRole('listitem').filter({ hasText: /ada.*the disk is replaced/ })
    await seen(event.getByText('acknowledged', { exact: true }))
    assert.equal(await page.getByText('not checked').count(), 0)
    // Another page that is open shows it without being loaded again.
    const last = rows(watching, 'Acknowledged runs')
    await seen(last.filter({ hasText: 'acknowledged by ada' }).filter({ hasText: 'the disk is replaced' }))
    assert.equal(await last.count(), 1)
    assert.deepEqual(await ids(watching), [first.id])
    assert.match(await attention(watching).locator('h2 + span').textContent(), /^1$/)
    for (const colorScheme of ['dark', 'light']) {
      await watching.emulateMedia({ colorScheme })
      assert.deepEqual(await faults(watching), [], `the overview in ${colorScheme}`)
      assert.deepEqual(await faults(page), [], `the run in ${colorScheme}`)
    }
    await page.reload()
    await seen(message)
    await page.getByRole('button', { name: 'Undo' }).click()
    await message.waitFor({ state: 'detached' })
    await seen(page.getByRole('button', { name: 'Acknowledge' }))
    await last.waitFor({ state: 'detached' })
    assert.equal(await rows(watching).count(), 2)
    await page.getByRole('button', { name: 'Acknowledge' }).click()
    assert.equal(await dialog.getByLabel('Your name').inputValue(), 'ada')
    await other.stop()
  },

  async 'rows beyond the first page are shown when asked for'(page, world) {
    const other = await world.other('many')
    await many(120, (i) => quick(other.base, `job-${i}`, 'failed'))
    await page.goto(other.base)
    await seen(rows(page).nth(99))
    assert.equal(await rows(page).count(), 100)
    assert.match(await attention(page).locator('h2 + span').textContent(), /^120$/)
    await page.getByRole('button', { name: 'Show more of 120', exact: true }).click()
    await seen(rows(page).nth(119))
    assert.equal(new Set(await ids(page)).size, 120)
    await page.getByRole('button', { name: 'Show more of 120 jobs' }).click()
    await seen(page.getByRole('region', { name: /^Jobs/ }).getByRole('link', { name: 'job-99', exact: true }))
    // They stay when the page reloads again.
    await quick(other.base, 'another', 'failed')
    await seen(rows(page).filter({ hasText: 'another' }))
    assert.equal(await rows(page).count(), 121)
    // A list of runs is read again as far as it is shown when changes may have been missed.
    const list = await page.context().newPage()
    await list.goto(other.base + 'runs')
    await seen(rows(list, 'Runs').nth(99))
    await list.evaluate(() => scrollTo(0, document.body.scrollHeight))
    await seen(rows(list, 'Runs, page 2').nth(20))
    const second = list.waitForResponse((r) => r.ok() && /[/]api[/]v1[/]runs[?].*cursor=/.test(r.url()))
    await other.stop()
    await other.begin()
    await second
    assert.equal(await rows(list, 'Runs, page 2').count(), 21)
    await other.stop()
  },

  async 'old failures are folded, and a job without a run today says when it ran last'(page, world) {
    const other = await world.other('old')
    await other.run('ancient', 'exit 3')
    await other.run('weekly', 'echo done')
    // Nothing can be started in the past: the answers are made older on their way.
    await page.route('**/api/v1/overview*', async (route) => {
      const older = new URL(route.request().url()).searchParams.has('older')
      const got = await route.fetch({ url: other.base + 'api/v1/overview' }).catch(() => null)
      if (!got) return route.abort() // the server is stopped at the end
      const answer = await got.json()
      answer.attention = { ...answer.attention, count: 0, older: 1, runs: older ? answer.attention.runs : [] }
      for (const job of answer.jobs.jobs) {
        job.day = { numbers: [], states: [], ages_seconds: [], more: false }
        job.last_run.start_at = new Date(Date.parse(answer.at) - 3.2 * 86_400_000).toISOString()
      }
      await route.fulfill({ json: answer })
    })
    await page.goto(other.base)
    await seen(page.getByText('1 job last failed more than 30 days ago and has not succeeded since.'))
    await seen(page.getByRole('region', { name: /^Jobs/ }).getByText('last ran 3 d ago').first())
    assert.equal(await page.getByText('ancient').count(), 1, 'only the list of jobs has it')
    await page.getByRole('button', { name: 'Show', exact: true }).click()
    await seen(rows(page, 'Runs that went wrong more than 30 days ago').filter({ hasText: 'ancient' }))
    await page.getByRole('button', { name: 'Hide' }).click()
    await rows(page, 'Runs that went wrong more than 30 days ago').first().waitFor({ state: 'detached' })
    await page.unrouteAll({ behavior: 'ignoreErrors' })
    await other.stop()
  },

  async 'what is under the pointer does not move'(page, world) {
    const other = await world.other('pointer')
    const first = await other.run('first', 'exit 3')
    await page.goto(other.base)
    await rows(page).first().hover()
    await quick(other.base, 'later', 'failed')
    const waiting = page.getByText('1 new run: shown when the pointer leaves the list')
    // The pointer moves on the row, as that of somebody who reads.
    const box = await rows(page).first().boundingBox()
    for (let i = 0; i < 200 && !(await waiting.isVisible()); i++) {
      await page.mouse.move(box.x + 100 + (i % 20), box.y + 5)
      await page.waitForTimeout(100)
    }
    await seen(waiting)
    assert.deepEqual(await ids(page), [first.id])
    await page.mouse.move(box.x + 100, 5)
    await seen(rows(page).filter({ hasText: 'later' }))
    await other.stop()
  },

  async 'the last heartbeat of a host is as old as it was when the figures were read'(page, world) {
    const job = await world.begin('beats', 'sleep 600')
    const at = new Date(Date.now() - 40_000) // figures that are loaded again when a run changes, or after half a minute
    await page.route((url) => url.pathname.endsWith('/api/v1/overview'), async (route) => {
      const response = await route.fetch()
      const answer = await response.json()
      const host = { host: 'box', agents: 1, cpu_cores: 1, memory_bytes: 1 << 20, unsent_bytes: 0, last_heartbeat_at: new Date(at - 3000).toISOString() }
      await route.fulfill({ response, json: { ...answer, fleet: { ...answer.fleet, at: at.toISOString(), agents: 1, hosts: [host], hosts_total: 1 } } })
    })
    await page.goto('')
    const fleet = page.getByRole('region', { name: 'Fleet' })
    await seen(fleet.getByText('heartbeat 3 s ago'))
    await seen(fleet.getByText(/^1 agent, as of \d\d:\d\d:\d\d$/))
    await page.setViewportSize({ width: 375, height: 700 })
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page scrolls sideways')
    assert.deepEqual(await faults(page), [])
    job.child.kill('SIGTERM')
    await job.ended
  },
}
