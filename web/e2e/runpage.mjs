// What a person on call needs of a run: when it goes on, how to start it again, what it waited for.
import assert from 'node:assert/strict'

const line = (page, n) => page.locator(`[data-n="${n}"]`)
const seen = (locator) => locator.waitFor({ state: 'visible' })
const verdict = (page) => page.getByRole('group', { name: 'Verdict' })

async function cancel(world, job) {
  const init = { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' } }
  await fetch(`${world.base}api/v1/runs/${job.run.id}/cancel`, init)
  await job.ended
}

export const runpage = {
  async 'a run between two attempts says when it continues'(page, world) {
    const job = await world.begin('patient', 'echo x; exit 7', '--retries', '3', '--retry-backoff', '10m')
    await page.goto('runs/' + job.run.id)
    await seen(verdict(page).getByText(/Attempt 1: Exited with code 7\. Attempt 2 begins in \d+ m/))
    await page.goto('')
    await seen(page.getByRole('region', { name: 'Waiting' }).getByText(/^attempt 2 in \d+ m/))
    await cancel(world, job)
  },

  async 'a run is tried again where its agent waits, else its command is shown'(page, world) {
    const gone = await world.run('gone', 'exit 3')
    await page.goto('runs/' + gone.id)
    await page.getByRole('button', { name: 'Run again…' }).click()
    const dialog = page.getByRole('dialog', { name: 'Run again' })
    await seen(dialog.getByText(/^stint run --job gone /))
    await dialog.getByRole('button', { name: 'Copy the command' }).click()
    assert.ok(await dialog.isVisible(), 'copying closes the dialog')
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'hidden' })
    const waits = await world.begin('waits', 'exit 3', '--retry-wait', '10m')
    await page.goto('runs/' + waits.run.id)
    await page.getByRole('button', { name: 'Retry', exact: true }).waitFor({ timeout: 30_000 })
    waits.child.kill('SIGTERM')
    await waits.ended
  },

  async 'moments are shown in the zone of the browser'(_page, world) {
    const job = await world.begin('moments', 'echo started; sleep 60')
    job.child.kill('SIGKILL')
    const page = await world.open({ timezoneId: 'America/Los_Angeles' })
    await page.goto('runs/' + job.run.id)
    await page.waitForFunction(() => document.title.startsWith('⌁'), null, { timeout: 60_000 })
    const moment = verdict(page).locator('time').first()
    await seen(moment)
    const iso = await moment.getAttribute('datetime')
    const local = new Date(iso).toLocaleTimeString('en-GB', { timeZone: 'America/Los_Angeles' })
    assert.ok((await moment.textContent()).endsWith(local), `${await moment.textContent()} is not ${local}`)
    assert.match(await moment.getAttribute('title'), / UTC$/)
    assert.doesNotMatch(await verdict(page).textContent(), /UTC/)
    await page.getByRole('tab', { name: 'Events' }).click()
    await seen(page.getByRole('tabpanel', { name: 'Events' }).getByText('lost').first())
    assert.doesNotMatch(await page.getByRole('tabpanel', { name: 'Events' }).textContent(), /UTC/)
    await page.context().close()
  },

  async 'what a stopped job waited for is shown'(page, world) {
    const run = await world.run('waiting', 'sleep 300; true', '--timeout', '1s')
    await page.goto('runs/' + run.id)
    await verdict(page).getByRole('button', { name: 'What it waited for' }).click()
    const processes = page.getByRole('tabpanel', { name: /Processes/ })
    await seen(processes.getByRole('listitem').filter({ hasText: /sleep \d+/ }).filter({ hasText: 'sleeping' }))
    await page.getByRole('tab', { name: 'Details' }).click()
    assert.equal(await page.getByText(/diagnosis before the stop/).count(), 0)
  },

  async 'the verdict links to the last attempt, and a missing attempt is reported'(page, world) {
    const script = 'echo "try $STINT_ATTEMPT"; test "$STINT_ATTEMPT" = 1 && { sleep 300; true; }; exit 3'
    const run = await world.run('twice', script, '--timeout', '1s', '--retries', '1', '--retry-backoff', '100ms')
    assert.equal(run.attempt, 2)
    await page.goto(`runs/${run.id}?attempt=9`)
    await seen(page.getByText('Attempt 9 does not exist; the last attempt is shown.'))
    await seen(line(page, 1).filter({ hasText: 'try 2' }))
    // The tab Processes is the first attempt's alone.
    await page.goto(`runs/${run.id}?attempt=1`)
    await page.getByRole('tab', { name: /^Processes/ }).click()
    await seen(page.getByRole('tabpanel', { name: /^Processes/ }))
    await page.evaluate(() => history.pushState(null, '', location.pathname))
    await page.evaluate(() => dispatchEvent(new PopStateEvent('popstate')))
    await seen(page.getByRole('tabpanel', { name: 'Log' }))
    assert.equal(await page.getByRole('tab', { name: /^Processes/ }).count(), 0)
    // The verdict is that of the last attempt, whichever is shown.
    await page.goto(`runs/${run.id}?attempt=1`)
    await seen(line(page, 1).filter({ hasText: 'try 1' }))
    await verdict(page).getByRole('button', { name: 'Jump to the end' }).click()
    await seen(line(page, 1).filter({ hasText: 'try 2' }))
    assert.equal(new URL(page.url()).search, '')
    // An attempt that cannot be loaded is not shown as the last one.
    await page.route((url) => url.pathname.endsWith('/api/v1/runs/' + run.id) && url.searchParams.get('attempt') === '1', (route) => route.abort())
    await page.goto(`runs/${run.id}?attempt=1`)
    const failed = page.getByRole('alert').filter({ hasText: 'Attempt 1 could not be loaded' })
    await seen(failed)
    await page.unrouteAll({ behavior: 'ignoreErrors' })
    await failed.getByRole('button', { name: 'Try again' }).click()
    await seen(page.getByRole('tab', { name: /^Processes/ }))
    assert.equal(await failed.count(), 0)
  },

  async 'running jobs keep their names on every screen'(_page, world) {
    const name = 'warehouse-nightly-export'
    const policy = await fetch(`${world.base}api/v1/jobs/${name}/policy`, {
      method: 'PUT', body: 'rules:\n  no_output: {after: 1s}\n', headers: { 'Content-Type': 'application/yaml' },
    })
    assert.ok(policy.ok, await policy.text())
    const job = await world.begin(name, 'sleep 60')
    for (const width of [375, 768, 1024, 1280]) {
      const page = await world.open({ viewport: { width, height: 800 } })
      await page.goto('')
      const row = page.getByRole('region', { name: 'Running' }).getByRole('link').filter({ hasText: name })
      await seen(row.getByText('no output'))
      const title = row.getByText(name, { exact: true })
      const { width: shown } = await title.boundingBox()
      assert.ok(shown >= 90, `at ${width} px the name has ${shown} px`)
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
      assert.ok(over <= 0, `the overview is ${over} px too wide at ${width}`)
      await page.context().close()
    }
    await cancel(world, job)
  },

  async 'steps are whole pixels, and the log ends where the window does'(page, world) {
    const run = await world.run('measured', 'seq 1 500')
    await page.goto('runs/' + run.id)
    await seen(line(page, 500))
    const box = await page.getByRole('banner').first().boundingBox()
    assert.equal(box.height, 44)
    const lines = await page.getByRole('region', { name: 'Lines of the log' }).boundingBox()
    assert.equal(lines.y + lines.height, 800)
    assert.equal(await page.evaluate(() => document.documentElement.scrollHeight), 800)
    await page.goto('jobs')
    await seen(page.getByRole('link', { name: 'measured', exact: true }))
    assert.equal(await page.locator('.max-w-7xl').evaluate((e) => getComputedStyle(e).maxWidth), '1280px')
  },

  async 'text selected over more lines than are drawn is copied whole'(_page, world) {
    const run = await world.run('copied', 'seq -f "row %05g" 1 3000')
    const page = await world.open({ permissions: ['clipboard-read', 'clipboard-write'] })
    await page.goto(`runs/${run.id}#L1000`)
    await seen(line(page, 1000))
    const lines = page.getByRole('region', { name: 'Lines of the log' })
    const from = await line(page, 1003).locator('.log-text').boundingBox()
    await page.mouse.move(from.x + 1, from.y + 10)
    await page.mouse.down()
    await page.mouse.move(from.x + 30, from.y + 30)
    for (let i = 0; i < 20; i++) {
      await page.mouse.wheel(0, 500)
      await page.waitForTimeout(30)
    }
    await line(page, 1500).waitFor()
    const to = await line(page, 1500).locator('.log-text').boundingBox()
    await page.mouse.move(to.x + 400, to.y + 10, { steps: 3 })
    await page.mouse.up()
    await seen(page.getByText('Lines 1,003–1,500'))
    await page.keyboard.press('Control+c')
    await seen(page.getByText('Copied', { exact: true }))
    const copied = (await page.evaluate(() => navigator.clipboard.readText())).split('\n')
    assert.equal(copied.length, 498)
    assert.deepEqual([copied[0], copied[1], copied.at(-1)], ['row 01003', 'row 01004', 'row 01500'])
    // The whole log, by keys and by the button, also where there is no clipboard interface.
    await lines.click({ position: { x: 300, y: 50 } })
    await page.keyboard.press('Control+a')
    await seen(page.getByText('Lines 1–3,000'))
    await page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true }))
    await page.getByRole('button', { name: 'Copy', exact: true }).click()
    await seen(page.getByText('Copied', { exact: true }))
    const all = await page.evaluate(() => (delete navigator.clipboard, navigator.clipboard.readText()))
    assert.equal(all, Array.from({ length: 3000 }, (_, i) => 'row ' + String(i + 1).padStart(5, '0')).join('\n'))
    await page.context().close()
  },
}
