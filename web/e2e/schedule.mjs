import assert from 'node:assert/strict'
import { faults } from './tests.mjs'

const seen = (locator) => locator.waitFor({ state: 'visible' })
const minute = 60_000
const day = 24 * 60 * minute
const iso = (ms) => new Date(ms).toISOString().replace(/\.\d+/, '')

async function call(world, method, path, body) {
  const res = await fetch(`${world.base}api/v1/${path}`, { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
  assert.ok(res.ok, `${method} ${path}: ${res.status} ${await res.clone().text()}`)
  return res.status === 204 ? null : res.json()
}
const apply = (world, yaml) => call(world, 'POST', 'definitions', { files: [{ name: 'job.yaml', yaml }], force: true })
const sideways = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
const widths = [{ width: 1280, height: 800 }, { width: 375, height: 700 }]

/** Goes to a month of the calendar, such as "Mar 2027". */
async function goTo(page, month) {
  const title = page.getByRole('region', { name: 'Calendar' }).getByRole('heading')
  for (let i = 0; i < 24 && (await title.textContent()) !== month; i++) await nextMonth(page)
  assert.equal(await title.textContent(), month)
}

/** Shows the next month, and waits until its days have taken the place of those before. */
async function nextMonth(page) {
  const before = await page.getByRole('region', { name: 'Calendar' }).getByRole('heading').textContent()
  await page.getByRole('button', { name: 'Next month' }).click()
  await page.waitForFunction((t) => document.querySelector('section[aria-label="Calendar"] h2').textContent !== t, before)
}

/** The Sunday on which clocks of Europe go forward next, as a year and a day of March. */
function forward() {
  const now = new Date()
  for (let year = now.getUTCFullYear(); ; year++) {
    const d = new Date(Date.UTC(year, 2, 31))
    d.setUTCDate(31 - d.getUTCDay())
    if (d > now) return { year, date: d.getUTCDate() }
  }
}

export const schedule = {
  async 'the calendar of a daily job says what became of each time, by keys, words and links'(page, world) {
    await apply(world, "job: nightly\nscript: 'true'\nzone: Europe/Berlin\nschedules: [{cron: '30 2 * * *'}]\n")
    const two = await call(world, 'POST', 'schedules/nightly/backfill', { from: iso(Date.now() - 2 * day), to: iso(Date.now()) })
    const last = two.occurrences[0]
    const today = new Date(last.at).toLocaleDateString('en-GB', { timeZone: 'Europe/Berlin', day: 'numeric', month: 'short' })
    const monthOf = (at) => new Date(at).toLocaleDateString('en-GB', { timeZone: 'Europe/Berlin', month: 'short' })
    const back = monthOf(last.at) !== monthOf(Date.now()) // in the first hours of a month
    for (const size of widths) {
      await page.setViewportSize(size)
      await page.goto('jobs/nightly#schedule')
      const calendar = page.getByRole('region', { name: 'Calendar' })
      await seen(calendar.getByText('Times in Europe/Berlin'))
      if (back) await calendar.getByRole('button', { name: 'Previous month' }).click()
      await seen(page.getByRole('list', { name: 'Schedules' }).getByText('30 2 * * *'))
      const mark = calendar.getByRole('button', { name: new RegExp(`${today.replace('Sept', 'Sep')} \\d+ 02:30: queued late, run #${last.number}`) })
      await mark.focus()
      const chosen = page.getByRole('group', { name: 'The chosen time' })
      await seen(chosen.getByText('queued late'))
      await seen(chosen.getByText(/backfilled by/))
      await seen(chosen.getByRole('link', { name: `Run #${last.number}, queued` }))
      assert.ok(await calendar.locator('[data-key][tabindex="0"]').count() === 1, 'the marks are one tab stop')
      await page.keyboard.press('PageDown') // the next month has only times to come
      const first = calendar.getByRole('button', { name: /^\w+ 1 \w+ \d+ 02:30: planned/ }) // not one of this month, which may still be there
      await seen(first)
      await first.focus()
      await page.keyboard.press('ArrowRight')
      assert.match(await page.evaluate(() => document.activeElement.title), /^\w+ 2 \w+ \d+ 02:30: planned/)
      await page.keyboard.press('ArrowDown')
      assert.match(await page.evaluate(() => document.activeElement.title), /^\w+ 9 \w+ \d+ 02:30: planned/)
      await calendar.getByRole('button', { name: 'Today' }).click()
      if (back) await calendar.getByRole('button', { name: 'Previous month' }).click()
      await mark.focus()
      assert.deepEqual(await faults(page), [])
      assert.ok((await sideways(page)) <= 0, 'the page scrolls sideways')
      await page.keyboard.press('Enter')
      await page.waitForURL(`**/runs/${last.run}`)
      await seen(page.getByText(/02:30 Europe\/Berlin, [\d.]+ (ms|s|m|h|d)\b.* late/))
      await page.getByRole('link', { name: 'schedule 1', exact: true }).click()
      await seen(calendar.getByText('Times in Europe/Berlin'))
    }
  },

  async 'the calendar marks the day on which clocks change'(page, world) {
    await apply(world, "job: clocks\nscript: 'true'\nzone: Europe/Berlin\nschedules: [{cron: '30 2 * * *'}]\n")
    const { year, date } = forward()
    for (const size of widths) {
      await page.setViewportSize(size)
      await page.goto('about:blank')
      await page.goto('jobs/clocks#schedule')
      await seen(page.getByText('Times in Europe/Berlin'))
      await goTo(page, `Mar ${year}`)
      const cell = page.getByRole('cell').filter({ hasText: `${date} Mar ${year}` })
      await seen(cell.getByText('+1 h'))
      await cell.getByRole('button', { name: /03:00: planned \(the clock skips 02:30\)/ }).focus()
      await seen(page.getByRole('group', { name: 'The chosen time' }).getByText('the clock skips 02:30'))
      assert.ok((await sideways(page)) <= 0, 'the page scrolls sideways')
    }
  },

  async 'the calendar of a frequent job is a day by hours, and its month counts'(page, world) {
    await apply(world, "job: often\nscript: 'true'\noverlap: allow\nzone: Asia/Kathmandu\nschedules: [{cron: '* * * * *'}]\n")
    await call(world, 'POST', 'schedules/often/backfill', { from: iso(Date.now() - 5 * minute), to: iso(Date.now()) })
    for (const size of widths) {
      await page.setViewportSize(size)
      await page.goto('about:blank')
      await page.goto('jobs/often#schedule')
      const calendar = page.getByRole('region', { name: 'Calendar' })
      await seen(calendar.getByText('Times in Asia/Kathmandu'))
      await seen(calendar.getByRole('button', { name: /: queued late, run #/ }).first())
      assert.deepEqual(await faults(page), [])
      await calendar.getByRole('button', { name: 'Next day' }).click()
      const planned = calendar.getByRole('button', { name: /: planned/ })
      await world.until(async () => (await planned.count()) === 1440, 'the 1,440 times of the next day', async () => `${await planned.count()} are shown`, 60)
      await seen(calendar.getByText('60 planned').locator('visible=true').first())
      await calendar.getByRole('button', { name: 'Month', exact: true }).click()
      await calendar.getByRole('button', { name: /: 1,440 planned. Show the day/ }).first().click()
      await seen(calendar.getByText('60 planned').locator('visible=true').first())
      assert.ok((await sideways(page)) <= 0, 'the page scrolls sideways')
    }
  },

  async 'the calendar shows skipped times with the run in the way, and paused ones'(page, world) {
    await apply(world, "job: busy\nscript: 'true'\noverlap: skip\nschedules: [{cron: '* * * * *'}]\n")
    await call(world, 'PUT', 'runs/0199aaaa-0000-7000-8000-00000000b0b0', { job: 'busy' })
    await world.until(async () => (await (await fetch(world.base + 'api/v1/schedules/busy/occurrences')).json()).occurrences.length > 0, 'a time to be skipped', () => '', 70)
    await page.goto('jobs/busy#schedule')
    await page.getByRole('button', { name: /: skipped: busy#1 is queued/ }).first().focus()
    const chosen = page.getByRole('group', { name: 'The chosen time' })
    await seen(chosen.getByText('skipped', { exact: true }))
    await chosen.getByRole('link', { name: /busy#1, which was in the way/ }).click()
    await seen(page.getByRole('heading', { name: /busy/ }))
    await call(world, 'POST', 'definitions/busy/pause', { by: 'ada', why: 'the warehouse moves' })
    await page.goto('jobs/busy#schedule')
    await seen(page.getByRole('button', { name: /: planned, paused: the job is paused by ada: the warehouse moves/ }).first())
  },

  async 'the calendar shows an expectation'(page, world) {
    await call(world, 'PUT', 'jobs/outside/due', { cron: '0 3 * * *', zone: 'Asia/Tokyo' })
    await world.run('outside', 'true')
    await page.goto('jobs/outside#schedule')
    await seen(page.getByText('Times in Asia/Tokyo'))
    await nextMonth(page)
    await page.getByRole('button', { name: /03:00, expected: planned/ }).first().focus()
    await seen(page.getByRole('group', { name: 'The chosen time' }).getByText('expected', { exact: true }))
    await page.goto('jobs/nobody')
    await seen(page.getByRole('heading', { name: 'No such job' }))
  },

  async 'an expectation is set by a form with its due times, paused, resumed and deleted'(page, world) {
    await world.run('someones', 'true')
    for (const size of widths) {
      await page.setViewportSize(size)
      await page.goto('about:blank')
      await page.goto('jobs/someones#schedule')
      const section = page.getByRole('region', { name: 'Expected starts' })
      await section.getByRole('button', { name: 'Expect starts…' }).click()
      const dialog = page.getByRole('dialog')
      const cron = dialog.getByLabel(/^Minute, hour/)
      await cron.fill('0 3 * *')
      await seen(dialog.getByRole('alert').getByText(/must have five fields/))
      assert.ok(await dialog.getByRole('button', { name: 'Set' }).isDisabled())
      await cron.fill('30 2 * * *')
      await dialog.getByLabel('Time zone').fill('Europe/Atlantis')
      await seen(dialog.getByRole('alert').getByText(/Europe\/Atlantis/))
      await dialog.getByLabel('Time zone').fill('Europe/Berlin')
      await dialog.getByRole('spinbutton', { name: /^Grace/ }).fill('90')
      await dialog.getByLabel('Unit of Grace').selectOption('minutes')
      const times = dialog.getByRole('region', { name: 'Next due, in Europe/Berlin' })
      await seen(times.getByText(/ 02:30$/).first())
      await seen(times.getByText('missed from 04:00').first())
      assert.deepEqual(await faults(page), [])
      assert.ok((await sideways(page)) <= 0, 'the page scrolls sideways')
      await dialog.getByRole('button', { name: 'Set' }).click()
      await seen(section.getByText('expected at 30 2 * * * Europe/Berlin, 1 h 30 m of grace'))
      const address = await section.getByText(/\/ping\/[0-9a-f-]{36}$/).textContent()
      assert.equal(await (await fetch(address.slice(address.indexOf('http')))).text(), 'OK')
      await seen(section.getByRole('button', { name: 'Copy the address for pings' }))
      assert.ok((await sideways(page)) <= 0, 'the page scrolls sideways')
      await section.getByRole('button', { name: 'Change…' }).click()
      await dialog.getByLabel('Each so often').check()
      await dialog.getByRole('spinbutton', { name: /^Interval/ }).fill('15')
      await dialog.getByLabel('Unit of Interval').selectOption('minutes')
      await seen(dialog.getByRole('region', { name: 'Next due, in UTC' }).getByText('If each run starts when it is due.'))
      await dialog.getByRole('button', { name: 'Change' }).click()
      await seen(section.getByText('expected every 15 m, 1 h 30 m of grace'))
      await section.getByRole('button', { name: 'Pause the expectation' }).click()
      await seen(section.getByText(/paused: nothing is due/))
      await section.getByRole('button', { name: 'Resume the expectation' }).click()
      await seen(section.getByText(/next due/))
      await section.getByRole('button', { name: 'Delete' }).click()
      await section.getByRole('button', { name: 'Delete it and what it missed' }).click()
      await seen(section.getByRole('button', { name: 'Expect starts…' }))
    }
  },

  async 'labels of runs by pings are set in the form of an expectation, and removed'(page, world) {
    await call(world, 'PUT', 'jobs/pinged-labels/due', { cron: '0 3 * * *', zone: 'Asia/Tokyo', labels: { note: 'two words' } })
    const labels = async () => (await (await fetch(`${world.base}api/v1/jobs/pinged-labels/due`)).json()).labels
    for (const size of widths) {
      await page.setViewportSize(size)
      await page.goto('about:blank')
      await page.goto('jobs/pinged-labels#schedule')
      const section = page.getByRole('region', { name: 'Expected starts' })
      await section.getByRole('button', { name: 'Change…' }).click()
      const dialog = page.getByRole('dialog')
      const field = dialog.getByLabel(/^Labels of the runs that pings make/)
      assert.equal(await field.inputValue(), 'note=two words')
      await field.fill('note=two words\nteam')
      await seen(dialog.getByRole('alert').getByText('Line 2: a label is written KEY=VALUE.'))
      assert.ok(await dialog.getByRole('button', { name: 'Change' }).isDisabled())
      await field.fill('note=two words\nteam=db')
      await dialog.getByText('Line 2: a label').waitFor({ state: 'detached' })
      assert.deepEqual(await faults(page), [])
      assert.ok((await sideways(page)) <= 0, 'the page scrolls sideways')
      await dialog.getByRole('button', { name: 'Change' }).click()
      await seen(section.getByText('runs by pings have the labels note=two words, team=db'))
      await section.getByRole('button', { name: 'Change…' }).click()
      await field.fill('')
      await dialog.getByRole('button', { name: 'Change' }).click()
      await section.getByText(/have the labels/).waitFor({ state: 'detached' })
      assert.equal(await labels(), undefined)
      await section.getByRole('button', { name: 'Change…' }).click()
      await field.fill('k'.repeat(2000) + '=1')
      await dialog.getByRole('button', { name: 'Change' }).click()
      await seen(dialog.getByRole('alert').getByText(/is longer than/)) // the server's answer
      await field.fill('note=two words')
      await dialog.getByRole('button', { name: 'Change' }).click()
      await seen(section.getByText('runs by pings have the labels note=two words'))
    }
  },

  async 'one schedule of a job is paused with a reason and resumed'(page, world) {
    await apply(world, "job: pausable\nscript: 'true'\nschedules: [{cron: '0 3 * * *'}, {cron: '0 15 * * *'}]\n")
    for (const size of widths) {
      await page.setViewportSize(size)
      await page.goto('about:blank')
      await page.goto('jobs/pausable#schedule')
      const second = page.getByRole('list', { name: 'Schedules' }).getByRole('listitem').filter({ hasText: '0 15 * * *' })
      await second.getByRole('button', { name: 'Pause schedule 2…' }).click()
      const dialog = page.getByRole('dialog', { name: 'Pause schedule 2 of pausable' })
      await dialog.getByLabel('Why').fill('the warehouse moves')
      assert.deepEqual(await faults(page), [])
      await dialog.getByRole('button', { name: 'Pause' }).click()
      await seen(second.getByText(/^paused .*: the warehouse moves$/))
      const next = page.getByRole('region', { name: 'Next times' })
      await seen(next.getByRole('listitem').filter({ hasText: '15:00' }).first().getByText('paused'))
      assert.equal(await next.getByRole('listitem').filter({ hasText: '03:00' }).getByText('paused').count(), 0)
      assert.deepEqual(await faults(page), [])
      assert.ok((await sideways(page)) <= 0, 'the page scrolls sideways')
      await second.getByRole('button', { name: 'Resume schedule 2' }).click()
      await seen(second.getByRole('button', { name: 'Pause schedule 2…' }))
      await next.getByText('paused').first().waitFor({ state: 'detached' })
    }
  },

  async 'who may only read sees why schedules cannot be paused or resumed'(page, world) {
    const other = await world.other('reading-schedules')
    await other.apply("job: readable\nscript: 'true'\nschedules: [{cron: '0 3 * * *'}, {cron: '0 15 * * *'}]\n")
    await other.api('POST', 'schedules/readable/1/pause', { why: 'a move' })
    const { token } = await other.api('POST', 'tokens', { name: 'ro', scope: 'read' })
    for (const size of widths) {
      await page.setViewportSize(size)
      await page.goto(other.base)
      await page.evaluate((t) => sessionStorage.setItem('stint.token', t), token)
      await page.goto(other.base + 'jobs/readable#schedule')
      const list = page.getByRole('list', { name: 'Schedules' })
      for (const name of ['Resume schedule 1', 'Pause schedule 2…']) {
        const button = list.getByRole('button', { name })
        assert.ok(await button.isDisabled(), name)
        const reason = page.locator('#' + (await button.getAttribute('aria-describedby')))
        assert.equal(await reason.textContent(), 'Pausing and resuming schedules need the scope write; yours is read.')
      }
      assert.deepEqual(await faults(page), [])
      assert.ok((await sideways(page)) <= 0, 'the page scrolls sideways')
    }
    await other.stop()
  },

  async 'a scheduled job is run now, with the values of its schedule'(page, world) {
    await apply(world, "job: byhand\nscript: 'true'\nparameters: [{name: FORMAT, type: text, default: pdf}]\nschedules: [{cron: '30 2 * * *', parameters: {FORMAT: html}}]\n")
    await page.goto('jobs/byhand#schedule')
    await page.getByRole('button', { name: 'Run now as schedule 1 does' }).click()
    const dialog = page.getByRole('dialog')
    assert.equal(await dialog.getByLabel('FORMAT').inputValue(), 'html')
    await dialog.getByRole('button', { name: 'Run', exact: true }).click()
    await page.waitForURL('**/runs/*')
    const run = await world.last('byhand')
    assert.equal(run.submitted.parameters.FORMAT, 'html')
    assert.equal(run.submitted.occurrence, undefined)
    await seen(page.getByText(/^submitted by/))
  },

  async 'a pattern in the starts of a job is suggested, and one button expects it'(page, world) {
    const suggested = { cron: '0 3 * * *', zone: 'Europe/Berlin', grace_seconds: 3600, when: 'each day at 03:00', off_seconds: 240, starts: 30 }
    for (const job of ['patterned', 'unwanted']) {
      await world.run(job, 'true')
      // Nothing can have started for days in this test; the rest is the server's.
      await page.route(`**/jobs/${job}/due/suggestion*`, (route) =>
        route.request().method() === 'GET' ? route.fulfill({ json: { suggested } }) : route.continue())
    }
    await page.goto('jobs/patterned')
    const group = page.getByRole('group', { name: 'Suggestion' })
    await seen(group.getByText('It starts each day at 03:00 Europe/Berlin, ± 4 m'))
    await group.getByRole('button', { name: 'Expect that' }).click()
    await seen(page.getByText('expected at 0 3 * * * Europe/Berlin, 1 h of grace'))
    assert.equal(await group.count(), 0, 'what is expected is not suggested')
    const due = await call(world, 'GET', 'jobs/patterned/due')
    assert.deepEqual([due.cron, due.zone, due.grace_seconds], ['0 3 * * *', 'Europe/Berlin', 3600])
    await page.goto('jobs/unwanted')
    const dismissed = page.waitForResponse((r) => r.request().method() === 'DELETE' && r.url().includes('/jobs/unwanted/due/suggestion'))
    await group.getByRole('button', { name: 'Do not suggest it' }).click()
    assert.equal((await dismissed).status(), 204)
    await group.waitFor({ state: 'detached' })
  },
}
