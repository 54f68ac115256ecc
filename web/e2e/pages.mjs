import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer, get } from 'node:http'
import { join } from 'node:path'
import { isCurrent } from '../build/api-types.mjs'

const line = (page, n) => page.locator(`[data-n="${n}"]`)
const seen = (locator) => locator.waitFor({ state: 'visible' })
const search = (page) => page.getByRole('textbox', { name: 'Search the whole log' })
const matches = (page, text) => page.getByRole('status', { name: 'Matches' }).filter({ hasText: text }).waitFor()

export const pages = {
  async 'the types of the page are those of the server'(_page, world) {
    const document = await (await fetch(world.base + 'api/openapi.json')).json()
    assert.ok(await isCurrent(document), 'web/src/lib/api/schema.d.ts is old: run make api-types')
  },

  async 'the first page is small'(_page, world) {
    const html = await (await fetch(world.base)).text()
    const names = [...html.matchAll(/(?:src|href)="\.?\/?(assets\/[^"]+)"/g)].map((m) => m[1])
    assert.ok(names.length >= 2)
    const sizes = await Promise.all(names.map((n) => sizeOf(world.base + n)))
    const total = sizes.reduce((a, b) => a + b, 0)
    assert.ok(total <= 90 * 1024, `${total} bytes of ${names}`)
  },

  async 'lists show the whole error line, and it links into the log'(page, world) {
    const text = 'psycopg.errors.UndefinedTable: relation "orders_tmp" does not exist, so the report of november cannot be made'
    const run = await world.run('stated', `seq 1 300; printf '%s\\n' 'Traceback (most recent call last):' '  File "report.py", line 3' '${text}' >&2; seq 1 300; exit 3`)
    await page.setViewportSize({ width: 1440, height: 900 })
    await page.goto('runs?job=stated')
    const cell = page.locator(`[data-run="${run.id}"] > span`, { hasText: text })
    await seen(cell)
    const cut = await cell.evaluate((e) => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight + 1)
    assert.ok(!cut, 'the line is cut in the list')
    await page.goto('runs/' + run.id)
    const link = page.getByRole('group', { name: 'Verdict' }).getByRole('link', { name: text })
    await seen(link)
    const verdict = await page.getByRole('group', { name: 'Verdict' }).innerText()
    assert.equal(verdict.split(text).length - 1, 1, 'the line is once in the verdict: ' + verdict)
    const href = await link.getAttribute('href')
    assert.match(href, new RegExp(`^runs/${run.id}[?]attempt=1#L[0-9]+$`))
    await link.click()
    const n = href.split('#L')[1]
    await page.locator(`[data-n="${n}"]`, { hasText: text }).waitFor({ state: 'visible' })
    const [tab] = await Promise.all([page.context().waitForEvent('page'), link.click({ modifiers: ['Control'] })])
    await tab.locator(`.log-row.selected[data-n="${n}"]`, { hasText: text }).waitFor({ state: 'visible' })
  },

  async 'the whole log is searched, and only matches are shown'(page, world) {
    const run = await world.run('needles', 'for i in $(seq 1 4000); do case $i in 17|1900|3999) echo "needle (a) $i";; *) echo hay $i;; esac; done')
    await page.goto('runs/' + run.id)
    await seen(line(page, 4000))
    await page.keyboard.press('/')
    await page.keyboard.insertText('NEEDLE (') // at once: a pause between two keys begins a search
    await matches(page, /^3 of 3$/) // the nearest after what is in sight
    await page.keyboard.press('Enter')
    await matches(page, /^1 of 3$/)
    await seen(line(page, 17).locator('.hit'))
    await search(page).blur()
    await page.keyboard.press('n')
    await matches(page, /^2 of 3$/)
    await page.keyboard.press('Shift+N')
    await page.keyboard.press('Shift+N')
    await page.locator('.log-row.current[data-n="3999"]').waitFor()
    await page.evaluate(() => { // two keys before the first has scrolled: the second counts
      for (const key of ['n', 'N']) document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))
    })
    await page.waitForTimeout(300) // what the first key began has ended
    await seen(page.locator('.log-row.current[data-n="3999"]'))
    await page.getByRole('button', { name: 'Show only matches' }).click()
    await page.waitForFunction(() => document.querySelectorAll('[data-n]').length === 14) // 3 matches, 2 lines around each; the last has 1 after it
    await page.getByRole('button', { name: 'Match case' }).click()
    await matches(page, 'none')
    await page.getByRole('button', { name: 'Regular expression' }).click()
    await seen(page.getByRole('alert').filter({ hasText: /NEEDLE|regular|missing/ }))
    await search(page).fill('needle .a. \\d{4}')
    await matches(page, /^2$|of 2$/)
    await search(page).press('Escape')
    await seen(line(page, 4000))
  },

  async 'a step is folded and unfolded'(page, world) {
    const run = await world.run('folded', 'seq 1 10', '--install', 'seq 1 500')
    await page.goto('runs/' + run.id)
    await seen(line(page, 510))
    await page.keyboard.press('g')
    await page.getByRole('button', { name: /Fold step install/ }).click()
    await seen(page.getByText('500 lines folded'))
    await seen(line(page, 501))
    assert.equal(await page.locator('[data-n]').count(), 10)
    await page.getByRole('button', { name: /Unfold step install/ }).click()
    await seen(line(page, 3))
  },

  async 'charts zoom, and a pointer that rests shows its moment in the log'(page, world) {
    const run = await world.run('zoomed', 'for i in $(seq 1 400); do echo at $i; sleep 0.01; done', '--sample-period', '250ms')
    await page.goto('runs/' + run.id)
    await seen(line(page, 400))
    const over = page.locator('figure').filter({ hasText: 'CPU' }).first().locator('.u-over')
    const box = await over.boundingBox()
    const y = box.y + box.height / 2
    await page.mouse.move(box.x + box.width * 0.2, y)
    await page.locator('.log-row.selected').waitFor()
    await page.mouse.move(box.x + box.width / 2, box.y + 400)
    await seen(line(page, 400))
    await page.mouse.move(box.x + box.width * 0.3, y)
    await page.mouse.down()
    await page.mouse.move(box.x + box.width * 0.7, y, { steps: 4 })
    await page.mouse.up()
    await page.getByRole('button', { name: /show the whole run/ }).click()
    await page.getByRole('button', { name: /show the whole run/ }).waitFor({ state: 'detached' })
  },

  async 'two runs of a job are compared'(page, world) {
    await world.run('pair', 'echo good; sleep 0.3', '--label', 'v=1')
    await world.run('pair', 'echo bad; exit 3', '--label', 'v=2')
    await page.goto('jobs/pair')
    await page.getByRole('figure').filter({ hasText: 'Duration' }).getByRole('link', { name: /#2 failed/ }).waitFor()
    await page.getByRole('button', { name: 'Compare' }).click()
    await page.waitForURL(/compare\?a=/)
    await seen(page.getByRole('row', { name: /outcome succeeded failed/ }))
    await seen(page.getByRole('region', { name: 'What changed' }).getByText('v=2'))
    await page.reload()
    await seen(page.getByRole('columnheader', { name: /#1 succeeded/ }))
    await page.goto('compare?a=nothing')
    await seen(page.getByRole('heading', { name: 'One of the two runs is not here' }))
  },

  async 'several runs are selected by key and canceled at once'(page, world) {
    const a = await world.begin('bulk-a', 'sleep 60')
    const b = await world.begin('bulk-b', 'sleep 60')
    await page.goto('runs?q=bulk-')
    await seen(page.getByRole('listitem').filter({ hasText: 'bulk-b' }))
    await page.keyboard.press('j')
    await page.keyboard.press('x')
    await seen(page.getByText('1 run selected'))
    await page.getByRole('button', { name: /all 2 active/ }).click()
    await page.getByRole('button', { name: 'Cancel 2 runs…' }).click()
    await page.getByLabel('Reason (optional)').fill('all of them')
    await page.getByRole('button', { name: 'Cancel 2 runs', exact: true }).click()
    await Promise.all([a.ended, b.ended])
    await page.waitForFunction(() => [...document.querySelectorAll('main li')].filter((e) => e.textContent.includes('canceled')).length === 2)
  },

  async 'the address keeps filters, and they can be cleared'(page, world) {
    await world.run('filtered-a', 'exit 1', '--label', 'team=red')
    await world.run('filtered-b', 'exit 0', '--label', 'team=blue')
    await page.goto('runs?q=filtered-')
    const state = page.getByRole('group', { name: 'State' })
    await state.getByRole('button', { name: /^failed/ }).click()
    await page.waitForURL(/state=failed/)
    await page.getByRole('listitem').filter({ hasText: 'filtered-b' }).waitFor({ state: 'detached' })
    await state.getByRole('button', { name: /^succeeded/ }).click()
    await page.waitForURL(/state=failed%2Csucceeded/)
    await seen(page.getByRole('listitem').filter({ hasText: 'filtered-b' }))
    await page.getByRole('button', { name: 'Filters' }).click()
    await page.getByLabel('Labels').fill('team=red')
    await page.waitForURL(/label=team%3Dred/)
    await page.getByRole('listitem').filter({ hasText: 'filtered-b' }).waitFor({ state: 'detached' })
    await page.getByLabel('Started').selectOption('1h')
    await page.waitForURL(/time=1h/)
    await seen(page.getByRole('listitem').filter({ hasText: 'filtered-a' }))
    await page.reload()
    await seen(page.getByRole('listitem').filter({ hasText: 'filtered-a' }))
    await page.getByRole('button', { name: 'Clear' }).click()
    await page.waitForFunction(() => location.search === '')
  },

  async 'everything can be reached by keyboard'(page, world) {
    await world.run('keyed', 'echo one')
    const two = await world.run('keyed', 'echo two')
    await page.goto('runs?q=keyed')
    await seen(page.getByRole('listitem').filter({ hasText: '#2' }))
    await page.keyboard.press('Tab')
    assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), 'Skip to content')
    await page.keyboard.press('j')
    await page.keyboard.press('Enter')
    await page.waitForURL(new RegExp(two.id))
    await seen(line(page, 1))
    await page.keyboard.press('[')
    await page.waitForFunction(() => document.title.includes('keyed #1'))
    await page.keyboard.press('[')
    await seen(page.getByText('No run of keyed here started before this one.'))
    await page.keyboard.press(']')
    await page.waitForFunction(() => document.title.includes('keyed #2'))
    await page.getByRole('tab', { name: 'Log' }).focus()
    await page.keyboard.press('ArrowRight')
    await seen(page.getByRole('tabpanel', { name: 'Changes' }))
    await page.keyboard.press('?')
    await seen(page.getByRole('dialog', { name: 'Keys' }))
    await page.keyboard.press('Escape')
    await page.getByRole('dialog', { name: 'Keys' }).waitFor({ state: 'hidden' })
  },

  async 'a token is created, shown once, and revoked'(page) {
    await page.goto('settings')
    const part = page.getByRole('region', { name: 'Tokens' })
    await part.getByLabel('Name').fill('from the page')
    await part.getByRole('button', { name: 'Create token' }).click()
    await seen(part.getByText(/^stint_/))
    await part.getByRole('button', { name: 'Revoke' }).click()
    await part.getByRole('button', { name: 'Revoke now' }).click()
    await part.getByRole('listitem').filter({ hasText: 'from the page' }).waitFor({ state: 'detached' })
    await page.getByText(/libraries in the programs/).click()
    await seen(page.getByText('modernc.org/sqlite', { exact: true }))
  },

  async 'a route is made and a test arrives'(page) {
    const got = []
    const receiver = createServer((req, res) => (got.push(req.url), void req.resume().on('end', () => res.writeHead(204).end())))
    await new Promise((done) => receiver.listen(0, '127.0.0.1', done))
    await page.goto('settings')
    const part = page.getByRole('region', { name: 'Notifications' })
    await part.getByRole('button', { name: 'Add a route' }).click()
    await part.getByLabel('Name').fill('here')
    await part.getByLabel('URL').fill(`http://127.0.0.1:${receiver.address().port}/hook`)
    await part.getByRole('button', { name: 'Save' }).click()
    await part.getByRole('button', { name: 'Send a test' }).click()
    await seen(part.getByText('Test delivered.'))
    assert.deepEqual(got, ['/hook'])
    await part.getByRole('button', { name: 'Remove' }).click()
    await part.getByRole('button', { name: 'Remove now' }).click()
    await seen(part.getByText(/No routes yet/))
    receiver.closeAllConnections()
    receiver.close()
  },

  async 'a policy is tested, refused with its place, saved and reset'(page, world) {
    await world.run('watched', 'echo hi')
    await page.goto('jobs/watched#policy')
    const text = page.getByRole('textbox', { name: /Policy of watched/ })
    await text.fill('rules:\n  stalled: {after: often}\n')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('button', { name: 'Go to line 2' }).click()
    assert.equal(await text.evaluate((e) => e.selectionStart >= 7), true)
    await text.fill('rules:\n  stalled: {after: 2h}\n')
    await page.getByRole('button', { name: 'Test on past runs' }).click()
    await seen(page.getByRole('status', { name: 'Test result' }).getByText(/this policy would have raised/))
    await page.getByRole('button', { name: 'Save' }).click()
    await seen(page.getByText('Saved. The policy applies from now on.'))
    await page.reload()
    assert.match(await text.inputValue(), /after: 2h/)
    await page.getByRole('button', { name: 'Reset to the default' }).click()
    await seen(page.getByText('The default policy applies again.'))
  },

  async 'a link to a line that is not there says so'(page, world) {
    const run = await world.run('short', 'seq 1 30')
    await page.goto(`runs/${run.id}#L400`)
    await seen(page.getByText(/Line 400 is not in this log: it has 30 lines/))
    await seen(line(page, 30))
  },

  async 'a logout during a session is reported'(page, world) {
    const job = await world.begin('session', 'sleep 60')
    await page.goto('')
    await seen(page.getByRole('link', { name: /session/ }).first())
    await page.evaluate(() => sessionStorage.setItem('stint.token', 'stint_' + 'x'.repeat(40)))
    await seen(page.getByText('You are logged out: this page is no longer updated.'))
    job.child.kill('SIGTERM')
    await job.ended
  },

  async 'the first visit asks for a login, and so does the page after logging out'(page, world) {
    const guarded = await world.other('guarded', '--require-token')
    const token = readFileSync(join(world.dir, 'guarded', 'admin.token'), 'utf8').trim()
    const ask = page.getByRole('heading', { name: 'Log in to Stint' })
    await page.goto(guarded.base + '?login_error=Call+0800+and+say+your+password')
    await seen(ask)
    assert.equal(await page.title(), 'Log in · Stint')
    assert.equal(await page.getByText('You are logged out').count(), 0, 'nobody was logged in')
    assert.equal(await page.getByText('0800').count(), 0, 'a sentence from the address is shown')
    await seen(page.getByText('The login failed. The server\'s log has the details.'))
    assert.equal(page.url(), guarded.base)
    await page.goto(guarded.base + 'runs/01999999-0000-7000-8000-000000000000')
    await seen(ask)
    assert.equal(await page.title(), 'Log in · Stint')
    await page.getByLabel('Token').fill(token)
    await page.getByRole('button', { name: 'Log in' }).click()
    await seen(page.getByRole('heading', { name: 'This run is not here' }))
    await page.goto(guarded.base + 'settings')
    await page.getByRole('button', { name: 'Log out' }).click()
    await seen(ask)
    await page.goto(guarded.base + 'settings')
    await seen(ask)
    assert.equal(await page.getByText('send Authorization').count(), 0, 'what is for programs is shown to people')
    await guarded.stop()
  },

  async 'a wrong clock is reported'(page) {
    await page.clock.setSystemTime(Date.now() + 3_600_000)
    await page.goto('')
    await seen(page.getByText(/This computer's clock is (59 m \d+ s|1 h.*) ahead of the server's/))
  },

  async 'without JavaScript there is a plain sentence'(_page, world) {
    const page = await world.open({ javaScriptEnabled: false })
    await page.goto('')
    await seen(page.locator('.noscript').filter({ hasText: 'This page needs JavaScript.' }))
    await page.context().close()
  },
}

/** The size of a file as gzip sends it. */
function sizeOf(url) {
  return new Promise((done, fail) => {
    get(url, { headers: { 'Accept-Encoding': 'gzip' } }, (res) => {
      let size = 0
      res.on('data', (d) => (size += d.length))
      res.on('end', () => (res.headers['content-encoding'] === 'gzip' ? done(size) : fail(new Error(url + ' is not compressed'))))
    }).on('error', fail)
  })
}
