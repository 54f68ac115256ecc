// What a page must not do: repeat requests, read out every second, act on keys that are off.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

const line = (page, n) => page.locator(`[data-n="${n}"]`)
const seen = (locator) => locator.waitFor({ state: 'visible' })

async function end(job) {
  job.child.kill('SIGTERM')
  await job.ended
}

/** Counts the requests of a page whose path ends so. */
function counting(page, ending) {
  const asked = []
  page.on('request', (r) => new URL(r.url()).pathname.endsWith(ending) && asked.push(r.url()))
  return asked
}

export const details = {
  async 'tabs of an active run are not loaded again at each heartbeat'(page, world) {
    await world.run('beating', 'echo good')
    const job = await world.begin('beating', 'i=0; while [ -d . ]; do i=$((i+1)); echo $i; sleep 0.3; done', '--label', 'v=2')
    const run = await world.until(async () => ((await world.last('beating')).number === 2 ? world.last('beating') : null), 'the second run')
    const explained = counting(page, '/explain')
    const changes = counting(page, '/changes')
    await page.goto('runs/' + run.id)
    await seen(page.locator('[data-n]').first())
    const heartbeats = async (n) => {
      const beats = new Set()
      await world.until(async () => beats.add((await world.last('beating')).last_heartbeat_at).size > n, `${n} heartbeats`, undefined, 60)
    }
    await page.getByRole('tab', { name: 'Changes' }).click()
    await seen(page.getByRole('tabpanel', { name: 'Changes' }).getByText('v=2'))
    await heartbeats(2)
    assert.equal(changes.length, 1, 'changes were loaded again')
    await page.getByRole('tab', { name: 'Events' }).click()
    await seen(page.getByRole('region', { name: 'Health checks' }))
    await heartbeats(2)
    assert.equal(explained.length, 1, 'the rules were asked for again')
    await end(job)
  },

  async 'a countdown is not read out each second'(page, world) {
    const job = await world.begin('counted', 'exit 7', '--retries', '1', '--retry-backoff', '10m')
    await page.goto('runs/' + job.run.id)
    const verdict = page.getByRole('group', { name: 'Verdict' })
    await seen(verdict.getByText(/Attempt 2 begins in/))
    await page.evaluate(() => {
      window.spoken = []
      const record = (changes) => window.spoken.push(...changes.map((c) => c.target.textContent).filter(Boolean))
      for (const e of document.querySelectorAll('main [role=status], main [role=alert], main [aria-live]')) {
        new MutationObserver(record).observe(e, { childList: true, characterData: true, subtree: true })
      }
    })
    for (let i = 0; i < 3; i++) {
      const before = await verdict.textContent()
      await page.waitForFunction((text) => document.querySelector('[aria-label=Verdict]').textContent !== text, before)
    }
    assert.deepEqual(await page.evaluate(() => window.spoken), [])
    await end(job)
  },

  async 'keys can be switched off, and stay off'(page, world) {
    const run = await world.run('quiet-keys', 'seq 1 400')
    await page.goto('runs/' + run.id)
    await seen(line(page, 400))
    await page.keyboard.press('?')
    const dialog = page.getByRole('dialog', { name: 'Keys' })
    await dialog.getByLabel('Keys are on').uncheck()
    await dialog.getByRole('button', { name: 'Close' }).click()
    const idle = async () => {
      for (const key of ['g', '/', '?', 'a', '[']) await page.keyboard.press(key)
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
      assert.ok(await line(page, 400).isVisible())
      assert.ok(!(await dialog.isVisible()))
      assert.equal(await page.evaluate(() => document.activeElement.tagName), 'BODY')
      assert.match(page.url(), new RegExp(run.id))
    }
    await page.evaluate(() => document.activeElement.blur())
    await idle()
    await page.reload()
    await seen(line(page, 400))
    await idle()
    for (const width of [320, 375, 640, 768]) {
      await page.setViewportSize({ width, height: 800 })
      await seen(page.getByRole('button', { name: /^Keys/ }))
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
      assert.ok(over <= 0, `the page is ${over} px too wide at ${width}`)
    }
    await page.getByRole('button', { name: /^Keys/ }).click()
    await dialog.getByLabel('Keys are on').check()
    await page.keyboard.press('Escape')
    await page.evaluate(() => document.activeElement.blur())
    await page.keyboard.press('g')
    await seen(line(page, 1))
  },

  async 'another line in the address does not rebuild the page'(page, world) {
    const run = await world.run('same-page', 'seq 1 3000')
    await page.goto('runs/' + run.id)
    await seen(line(page, 3000))
    const asked = counting(page, '/runs/' + run.id)
    await page.evaluate(() => (document.querySelector('main header').dataset.mark = 'same'))
    await page.evaluate(() => (location.hash = '#L1500'))
    await page.locator('.log-row.selected[data-n="1500"]').waitFor()
    assert.equal(await page.locator('main header').getAttribute('data-mark'), 'same')
    await page.goBack()
    await page.waitForFunction(() => location.hash === '')
    assert.equal(await page.locator('main header').getAttribute('data-mark'), 'same')
    assert.equal(asked.length, 0, 'the run was loaded again')
  },

  async 'a log is saved by the browser itself, byte by byte'(page, world) {
    const run = await world.run('saved', 'seq 1 2000')
    await page.goto('runs/' + run.id)
    await seen(line(page, 2000))
    await page.evaluate(() => {
      window.blobs = 0
      const make = URL.createObjectURL
      URL.createObjectURL = (b) => (window.blobs++, make.call(URL, b))
    })
    await page.getByRole('button', { name: /Download/ }).click()
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: /Raw log/ }).or(page.getByRole('menuitem', { name: /Raw log/ })).click()])
    const text = readFileSync(await download.path(), 'utf8')
    assert.equal(text, Array.from({ length: 2000 }, (_, i) => i + 1 + '\n').join(''))
    assert.match(download.url(), /\/api\/v1\/runs\//)
    assert.equal(await page.evaluate(() => window.blobs), 0, 'the log went through memory')
  },

  async 'tabs of a job are one stop, with arrow keys between them'(page, world) {
    await world.run('tabbed', 'echo hi')
    await page.goto('jobs/tabbed')
    const tab = (name) => page.getByRole('tab', { name })
    await tab('Runs').focus()
    await page.keyboard.press('ArrowRight')
    await seen(page.getByRole('tabpanel', { name: 'Schedule' }))
    await page.keyboard.press('ArrowRight')
    await seen(page.getByRole('tabpanel', { name: 'Definition' }))
    await page.keyboard.press('ArrowRight')
    await seen(page.getByRole('textbox', { name: /Policy of tabbed/ }))
    const stops = () => page.getByRole('tab').evaluateAll((all) => all.filter((t) => t.tabIndex === 0).map((t) => t.textContent.trim()))
    assert.deepEqual(await stops(), ['Policy'])
    assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), 'Policy')
    await page.keyboard.press('End')
    assert.deepEqual(await stops(), ['Badge'])
    await page.keyboard.press('ArrowRight')
    assert.deepEqual(await stops(), ['Runs'])
  },

  async 'a typed search sends nothing after its page was left'(page, world) {
    const run = await world.run('left', 'seq 1 300')
    await page.goto('runs/' + run.id)
    await seen(line(page, 300))
    const searched = counting(page, '/log/search')
    // At once, as no keyboard can: on a busy machine the pause after a key may be over before a click.
    await page.evaluate(() => {
      const input = document.querySelector('input[aria-label="Search the whole log"]')
      input.value = '29'
      input.dispatchEvent(new Event('input', { bubbles: true }))
      document.querySelector('a[href="jobs"]').click()
    })
    await seen(page.getByRole('link', { name: 'left', exact: true }))
    await page.waitForTimeout(600) // longer than the pause after the last key
    assert.deepEqual(searched, [])
  },
}
