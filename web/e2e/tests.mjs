import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const line = (page, n) => page.locator(`[data-n="${n}"]`)
const seen = (locator) => locator.waitFor({ state: 'visible' })

async function gone(page, text) {
  await page.getByText(text).waitFor({ state: 'detached' })
}

/** What axe finds wrong on the page. */
export async function faults(page) {
  // The page's policy allows no foreign script, so axe comes in through the debugger.
  const result = await page.evaluate(axe + ';axe.run({ resultTypes: ["violations"] })')
  return result.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(' | ')}`)
}

export const tests = {
  async 'an empty server shows the first command, and the run appears'(page, world) {
    await page.goto('')
    await seen(page.getByRole('heading', { name: 'Nothing has run yet' }))
    await seen(page.getByText('stint run --server').first())
    await world.run('first', 'echo hello')
    await seen(page.getByRole('link', { name: 'first', exact: true }))
  },

  async 'a live log is followed until one scrolls up, and followed again'(page, world) {
    const job = await world.begin('ticker', 'i=0; while [ -d . ]; do i=$((i+1)); echo tick $i; sleep 0.02; done')
    await page.goto('runs/' + job.run.id)
    // Any line after the first hundred: the page may open when line 100 has gone by.
    await page.waitForFunction(() => [...document.querySelectorAll('[data-n]')].some((e) => Number(e.dataset.n) >= 100))
    assert.match(await page.title(), /^● ticker #1 running/)
    const lines = page.getByRole('region', { name: 'Lines of the log' })
    await lines.hover()
    await page.mouse.wheel(0, -600)
    await seen(page.getByRole('button', { name: /new lines? ↓/ }))
    const top = await lines.evaluate((e) => e.scrollTop)
    await page.getByRole('button', { name: /[3-9]\d+ new lines ↓/ }).waitFor()
    assert.equal(await lines.evaluate((e) => e.scrollTop), top, 'what is read must not move')
    await page.getByRole('button', { name: /new lines ↓/ }).click()
    await page.waitForFunction(() => {
      const e = document.querySelector('[aria-label="Lines of the log"]')
      return e.scrollTop + e.clientHeight >= e.scrollHeight - 2
    })
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByLabel('Reason').fill('seen enough')
    await page.getByRole('button', { name: 'Cancel the run' }).click()
    await page.getByText('canceled', { exact: true }).first().waitFor()
    await job.ended
    await page.waitForFunction(() => document.title.startsWith('⊘'))
    await seen(page.getByText(/seen enough/).first())
  },

  async 'a failed run says why, and its events'(page, world) {
    const run = await world.run('etl', 'echo reading; echo "no such table" >&2; exit 3')
    await page.goto('runs/' + run.id)
    await seen(page.getByText('Exited with code 3.'))
    await seen(line(page, 2))
    await page.getByRole('tab', { name: 'Events' }).click()
    await seen(page.getByRole('tabpanel', { name: 'Events' }).getByText('failed'))
    await page.getByRole('tab', { name: 'Details' }).click()
    await seen(page.getByText(run.id))
    await page.goto('')
    await seen(page.getByRole('region', { name: 'Needs attention' }).getByText('exit code 3'))
  },

  async 'a long log opens at its end, at a line, and anywhere'(page, world) {
    const run = await world.run('long', 'seq 1 250000')
    await page.goto('runs/' + run.id)
    await seen(line(page, 250000))
    assert.ok((await page.locator('[data-n]').count()) < 700, 'only what is in sight is drawn')
    await page.keyboard.press('g')
    await seen(line(page, 1))
    await page.goto(`runs/${run.id}#L123456-L123458`)
    await page.reload()
    await seen(line(page, 123456))
    assert.equal(await page.locator('.log-row.selected').count(), 3)
    assert.equal((await line(page, 123457).locator('.log-text').textContent()).trim(), '123457')
    await line(page, 123460).getByRole('link').click()
    assert.equal(new URL(page.url()).hash, '#L123460')
    await line(page, 123462).getByRole('link').click({ modifiers: ['Shift'] })
    assert.equal(new URL(page.url()).hash, '#L123460-L123462')
    const lines = page.getByRole('region', { name: 'Lines of the log' })
    await lines.evaluate((e) => (e.scrollTop = e.scrollHeight / 4))
    await page.locator('[data-n]').filter({ hasText: /^62\d\d\d/ }).first().waitFor()
    await page.keyboard.press('Shift+G')
    await seen(line(page, 250000))
  },

  async 'streams are marked and filtered'(page, world) {
    const run = await world.run('streams', 'for i in $(seq 1 300); do echo out $i; done; echo problem >&2')
    await page.goto('runs/' + run.id)
    await seen(page.getByText('out 300', { exact: true }))
    await page.getByRole('group', { name: 'Stream' }).getByRole('button', { name: 'stderr' }).click()
    await gone(page, 'out 300')
    await seen(page.getByText('problem', { exact: true }))
    assert.equal(await page.locator('[data-n]').count(), 1)
    await page.getByRole('group', { name: 'Stream' }).getByRole('button', { name: 'stdout' }).click()
    await seen(page.getByText('out 300', { exact: true }))
    assert.equal(await page.getByText('problem', { exact: true }).count(), 0)
  },

  async 'hostile output is harmless'(page, world) {
    const out = String.raw`<script>alert(1)</script><img src=x onerror=alert(2)>\n\033]8;;javascript:alert(3)\007click\033]8;;\007\nbidi \342\200\256abc\n\033[2J\033[31mred\033[0m\n10%%\r20%%\r30%%\n\377\376\n`
    const run = await world.run('<b>hostile</b>'.replaceAll('/', ''), `printf '${out}'; head -c 1000000 /dev/zero | tr '\\0' x`)
    await page.goto('runs/' + run.id)
    await seen(page.locator('.log-text', { hasText: '<script>alert(1)</script><img src=x onerror=alert(2)>' }))
    assert.equal(await page.locator('.log-text a, .log-text script, .log-text img').count(), 0)
    await seen(page.getByText('U+202E'))
    await seen(line(page, 4).locator('.ansi-1'))
    assert.match(await line(page, 5).locator('.log-text').textContent(), /^30%2 updates$/)
    await seen(page.getByRole('button', { name: /^show 99\d,\d+ more characters$/ }))
  },

  async 'a server restart is reported and survived'(page, world) {
    const job = await world.begin('survivor', 'i=0; while [ -d . ]; do i=$((i+1)); echo tick $i; sleep 0.05; done')
    await page.goto('runs/' + job.run.id)
    await seen(page.getByText('tick 5', { exact: true }))
    await world.stopServer()
    await seen(page.getByText(/Live updates are interrupted/))
    await world.startServer()
    await page.getByText(/Live updates are interrupted/).waitFor({ state: 'detached', timeout: 30_000 })
    const before = await page.locator('[data-n]').last().getAttribute('data-n')
    await page.waitForFunction((n) => Number([...document.querySelectorAll('[data-n]')].at(-1)?.dataset.n) > Number(n) + 20, before)
    await fetch(`${world.base}api/v1/runs/${job.run.id}/cancel`, { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' } })
    await job.ended
    await page.waitForFunction(() => document.title.startsWith('⊘'), null, { timeout: 30_000 })
  },

  async 'a killed agent is shown as a problem, then as lost'(page, world) {
    const job = await world.begin('doomed', 'echo started; sleep 60')
    await page.goto('runs/' + job.run.id)
    await seen(line(page, 1))
    job.child.kill('SIGKILL')
    await page.waitForFunction(() => document.title.startsWith('⌁'), null, { timeout: 60_000 })
    await seen(page.getByText('lost', { exact: true }).first())
    await page.getByRole('tab', { name: 'Events' }).click()
    await seen(page.getByRole('tabpanel', { name: 'Events' }).getByText('lost').first())
  },

  async 'wrapped lines stay in place while one reads'(page, world) {
    const run = await world.run('wide', 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); printf "row %d %0400d\\n" $i 0; done')
    await page.goto('runs/' + run.id)
    await seen(line(page, 3000))
    await page.keyboard.press('w')
    await seen(line(page, 3000))
    const lines = page.getByRole('region', { name: 'Lines of the log' })
    assert.equal(await lines.evaluate((e) => e.scrollWidth - e.clientWidth), 0, 'nothing is wider than the view')
    await lines.hover()
    let before = 3001
    for (let i = 0; i < 12; i++) {
      await page.mouse.wheel(0, -700)
      await page.waitForTimeout(60)
      const top = await lines.evaluate((e) => {
        const y = e.getBoundingClientRect().top
        return Number([...e.querySelectorAll('[data-n]')].find((r) => r.getBoundingClientRect().bottom > y)?.dataset.n)
      })
      assert.ok(top < before, `scrolled up, but line ${top} follows line ${before}`)
      before = top
    }
    await page.goto(`runs/${run.id}#L1500`)
    await page.reload()
    await seen(line(page, 1500))
    const place = await line(page, 1500).evaluate((e) => e.getBoundingClientRect().top)
    assert.ok(place > 250 && place < 780, `line 1500 is at ${place}`)
  },

  async 'runs are searched and filtered, and the address keeps it'(page) {
    await page.goto('runs')
    await seen(page.getByRole('listitem').filter({ hasText: /etl/ }))
    await page.getByRole('button', { name: 'failed' }).click()
    await page.waitForURL(/state=failed/)
    await page.getByRole('listitem').filter({ hasText: /first/ }).waitFor({ state: 'detached' })
    await page.reload()
    await seen(page.getByRole('listitem').filter({ hasText: /etl/ }))
    await page.keyboard.press('/')
    await page.keyboard.insertText('nothing like this')
    await seen(page.getByText('No run matches.'))
    await page.keyboard.insertText('!')
    await page.getByRole('button', { name: 'Clear the filters' }).click() // before the pause after the last key is over
    await page.waitForTimeout(500)
    assert.doesNotMatch(page.url(), /q=/)
    await seen(page.getByRole('listitem').filter({ hasText: /first/ }))
  },

  async 'chart and log point at the same moment'(page, world) {
    const run = await world.run('pointing', 'for i in 1 2 3 4 5 6; do echo at $i; sleep 0.5; done', '--sample-period', '500ms')
    await page.goto('runs/' + run.id)
    await seen(line(page, 6))
    const cpu = page.locator('figure').filter({ hasText: 'CPU' }).first()
    const figure = cpu.locator('figcaption span').nth(1)
    assert.match(await figure.textContent(), /^peak /)
    await line(page, 4).hover()
    await page.waitForFunction(() => / at \d\d:\d\d:\d\d$/.test(document.querySelectorAll('figure figcaption span')[1].textContent))
    const box = await cpu.locator('.u-over').boundingBox()
    await page.mouse.move(box.x + 4, box.y + 20)
    await page.mouse.click(box.x + 4, box.y + 20)
    await page.locator('.log-row.selected').waitFor()
  },

  async 'it works under a sub-path, links and reloads included'(page, world) {
    const proxy = await world.proxy('/ops/stint')
    const etl = await world.last('etl')
    await page.goto(proxy.base)
    await page.getByRole('region', { name: 'Needs attention' }).getByRole('link', { name: /etl/ }).click()
    await page.waitForURL(`${proxy.base}runs/${etl.id}`)
    await seen(line(page, 1))
    await page.reload()
    await seen(line(page, 1))
    await page.getByRole('link', { name: 'Jobs' }).click()
    await page.waitForURL(proxy.base + 'jobs')
    await seen(page.getByRole('link', { name: 'etl', exact: true }))
    proxy.close()
  },

  async 'after a refused token the page asks for another'(page, world) {
    await page.goto('runs')
    await page.evaluate(() => sessionStorage.setItem('stint.token', 'stint_wrong'))
    await page.reload()
    await seen(page.getByRole('heading', { name: 'Log in to Stint' }))
    await page.getByRole('button', { name: 'Continue without a token' }).click()
    await seen(page.getByRole('listitem').filter({ hasText: /etl/ }))
    assert.ok(world.base)
  },

  async 'missing runs and jobs are reported'(page) {
    await page.goto('runs/01999999-0000-7000-8000-000000000000')
    await seen(page.getByRole('heading', { name: 'This run is not here' }))
    await page.goto('jobs/nobody')
    await seen(page.getByRole('heading', { name: 'No such job' }))
  },

  async 'every page is accessible in both themes and fits a phone'(_page, world) {
    const failed = await world.run('looked-at', 'echo reading; echo "no such table" >&2; exit 3')
    const other = await world.run('looked-at', 'echo well')
    const rest = ['', 'runs', 'jobs', 'jobs/looked-at', 'jobs/looked-at#policy', 'jobs/looked-at#badge', `compare?a=${failed.id}&b=${other.id}`, 'settings']
    for (const colorScheme of ['light', 'dark']) {
      for (const width of [375, 1280]) {
        const page = await world.open({ colorScheme, viewport: { width, height: 800 } })
        const check = async (what) => {
          const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
          assert.ok(over <= 0, `${what} is ${over} px too wide at ${width}`)
          assert.deepEqual(await faults(page), [], `${what} in ${colorScheme} at ${width}`)
        }
        for (const path of rest) {
          await page.goto(path)
          await seen(page.getByText(path === 'settings' ? /libraries in this page/ : /looked-at/).first())
          await check('/' + path)
        }
        await page.goto('runs/' + failed.id)
        await seen(line(page, 1))
        for (const name of ['Log', 'Changes', 'Events', 'Details', 'Notifications']) {
          await page.getByRole('tab', { name }).click()
          await seen(page.getByRole('tabpanel', { name }))
          await check(`a run's ${name}`)
        }
        await page.context().close()
      }
    }
  },
}
