import assert from 'node:assert/strict'
import { looks } from './queue.mjs'

const seen = (locator) => locator.waitFor({ state: 'visible' })

const report = (dir) => `job: report
description: Orders of the day
script: |
  echo "report of $DAY in $COUNT copies as $FORMAT for $CUSTOMER"
  if [ -n "$FILE" ] && [ ! -e "$FILE" ]; then touch "$FILE"; exit 3; fi
dir: ${dir}
parameters:
  - {name: DAY, type: date, default: yesterday, help: the day to report}
  - {name: COUNT, type: integer, min: 1, max: 10}
  - {name: SCALE, type: number, default: "1.5", min: 0.1}
  - {name: FORMAT, type: choice, choices: [pdf, html], default: pdf}
  - {name: SEND, type: boolean, default: "false"}
  - {name: CUSTOMER, type: text, default: all, pattern: "[a-z]+"}
  - {name: FILE, type: text, default: ""}
retries: {limit: 1, backoff: 1s, on: [exit_code]}
`

export const submit = {
  async 'a run that waits says what for, has no log, and is canceled'(page, world) {
    const other = await world.other('unstarted')
    await other.apply(report(world.dir))
    const run = await other.submit('report', { parameters: { COUNT: '3' } })
    const waiting = (p) => p.getByRole('group', { name: 'What it waits for' })
    await looks(world, `${other.base}runs/${run.id}`, 'run-waits', (p) => waiting(p).getByText('No worker is connected.'))
    await page.goto(`${other.base}runs/${run.id}`)
    await seen(page.getByText('This run has not started yet: its log begins here when it does.'))
    await page.getByRole('tab', { name: /Parameters/ }).click()
    const values = await page.getByRole('tabpanel', { name: /Parameters/ }).innerText()
    assert.match(values, /COUNT\s+3\s+given/)
    assert.match(values, /FORMAT\s+pdf\s+default/)
    await page.getByRole('tab', { name: 'Details' }).click()
    await seen(page.getByRole('tabpanel', { name: 'Details' }).getByText(/by somebody/))
    await page.getByRole('tab', { name: 'Log' }).click()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByLabel('Reason').fill('not needed')
    await page.getByRole('button', { name: 'Cancel the run' }).click()
    await seen(page.getByText('This run never started, so it has no log.'))
    await seen(page.getByText('never started', { exact: true }))
    assert.equal(await waiting(page).count(), 0)
    await page.goto(other.base)
    await other.stop()
  },

  async 'a job is run from a form, which shows every mistake at its field'(page, world) {
    const other = await world.other('form')
    await other.apply(report(world.dir))
    const worker = await other.worker('w1', '--slots', '2')
    await page.goto(other.base + 'jobs')
    await page.getByRole('link', { name: 'Run report' }).click()
    const dialog = page.getByRole('dialog')
    await seen(dialog.getByRole('heading', { name: 'Run report' }))
    assert.equal(await dialog.getByLabel('DAY').getAttribute('type'), 'date')
    assert.match(await dialog.innerText(), /the day to report · date · default yesterday = \d{4}-\d{2}-\d{2}/)
    // Enter submits; what is missing has the focus.
    await dialog.getByLabel('DAY').press('Enter')
    await seen(dialog.getByText('COUNT: it must be given, because it has no default'))
    assert.ok(await dialog.getByLabel('COUNT').evaluate((e) => e === document.activeElement))
    await dialog.getByLabel('COUNT').fill('11')
    await seen(dialog.getByText('COUNT: it is more than 10'))
    await dialog.getByLabel('COUNT').fill('2')
    await dialog.getByText('COUNT: it').waitFor({ state: 'detached' })
    // What only the server finds is at its field, too.
    await dialog.getByLabel('CUSTOMER').fill('ACME 1')
    await dialog.getByRole('button', { name: 'Run', exact: true }).click()
    await seen(dialog.getByText(/^CUSTOMER: .*does not match/))
    await looks(world, other.base + 'jobs/report#run', 'run-form', (p) => p.getByRole('dialog').getByLabel('COUNT'), async (p) => {
      await p.getByRole('dialog').getByLabel('COUNT').fill('99')
    })
    await looks(world, other.base + 'jobs', 'jobs-defined', (p) => p.getByRole('link', { name: 'Run report' }))
    await dialog.getByLabel('CUSTOMER').fill('acme')
    await dialog.getByLabel('FORMAT').selectOption('html')
    await dialog.getByText('Advanced').click()
    await dialog.getByLabel('Priority').selectOption('high')
    await dialog.getByLabel('Labels of the run').fill('team=data')
    await dialog.getByRole('button', { name: 'Run', exact: true }).click()
    await page.waitForURL(/\/runs\/[0-9a-f-]{36}$/)
    await seen(page.getByText(/report of \S+ in 2 copies as html for acme/))
    await seen(page.getByText(/, worker w1/))
    const first = await other.get('runs/' + page.url().split('/').pop())
    assert.deepEqual(first.submitted.given, { COUNT: '2', FORMAT: 'html', CUSTOMER: 'acme' })
    assert.equal(first.submitted.priority, 'high')

    // Again, with one value changed and one left to its default.
    await page.getByRole('button', { name: 'Run again…' }).click()
    await seen(dialog.getByRole('heading', { name: `Run report #${first.number} again` }))
    assert.equal(await dialog.getByLabel('COUNT').inputValue(), '2')
    await dialog.getByLabel('COUNT').fill('5')
    await seen(dialog.getByText('was 2'))
    await dialog.getByRole('button', { name: 'Run', exact: true }).click()
    await page.waitForURL((url) => !url.href.includes(first.id))
    await seen(page.getByText(/in 5 copies as html for acme/))
    const second = await other.get('runs/' + page.url().split('/').pop())
    assert.deepEqual(second.submitted.given, { COUNT: '5', FORMAT: 'html', CUSTOMER: 'acme' })
    assert.equal(second.submitted.priority, 'high')
    assert.deepEqual(second.labels, { team: 'data' })
    await page.getByRole('button', { name: 'Run again…' }).click()
    await dialog.getByLabel('FORMAT').selectOption({ index: 0 })
    await dialog.getByRole('button', { name: 'Run', exact: true }).click()
    await page.waitForURL((url) => !url.href.includes(second.id))
    await seen(page.getByText(/in 5 copies as pdf for acme/))
    const third = await other.get('runs/' + page.url().split('/').pop())
    assert.deepEqual(third.submitted.given, { COUNT: '5', CUSTOMER: 'acme' })
    await worker.stop()
    await other.stop()
  },

  async 'each attempt says on which worker it ran'(page, world) {
    const other = await world.other('attempt-workers')
    await other.apply(report(world.dir))
    const first = await other.worker('w1')
    const run = await other.submit('report', { parameters: { COUNT: '1', FILE: world.dir + '/again' } })
    await world.until(async () => (await other.get('runs/' + run.id)).state === 'retrying', 'attempt 1 to fail')
    await first.stop()
    const second = await other.worker('w2')
    await page.goto(`${other.base}runs/${run.id}`)
    await seen(page.getByText('succeeded', { exact: true }).first())
    await page.getByRole('tab', { name: /Attempts/ }).click()
    const attempts = page.getByRole('tabpanel', { name: /Attempts/ }).getByRole('listitem')
    await seen(attempts.nth(0).getByText(/^w2 on /))
    await seen(attempts.nth(1).getByText(/^w1 on /))
    await looks(world, `${other.base}runs/${run.id}`, 'run-attempts', (p) => p.getByRole('tab', { name: /Attempts/ }), async (p) => {
      await p.getByRole('tab', { name: /Attempts/ }).click()
      await seen(p.getByText(/^w1 on /))
    })
    await second.stop()
    await other.stop()
  },

  async 'who may not submit or edit is told why'(page, world) {
    const other = await world.other('refused')
    await other.apply(report(world.dir))
    const { token } = await other.api('POST', 'tokens', { name: 'ro', scope: 'read' })
    await page.goto(other.base)
    await page.evaluate((t) => sessionStorage.setItem('stint.token', t), token)
    await page.goto(other.base + 'jobs/report#definition')
    await seen(page.getByText('Running and pausing it need the scope write; yours is read.'))
    await seen(page.getByText('Editing needs the scope author; yours is read.'))
    assert.equal(await page.getByRole('textbox', { name: /Definition of report/ }).getAttribute('readonly'), '')
    await page.goto(other.base + 'jobs')
    await seen(page.getByRole('link', { name: 'report', exact: true }))
    assert.equal(await page.getByRole('link', { name: 'Run report' }).count(), 0)
    await other.stop()
  },

  async 'an empty text is given in the form of a run, and what waits has a place of its own on the overview'(page, world) {
    const other = await world.other('empty')
    await other.apply("job: letter\nscript: 'true'\nparameters: [{name: TO, type: text, default: all}]\n")
    await page.goto(other.base + 'jobs/letter')
    await page.getByRole('button', { name: 'Run…' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Give an empty text').check()
    await dialog.getByRole('button', { name: 'Run', exact: true }).click()
    await page.waitForURL('**/runs/*')
    const run = (await other.get('runs?job=letter')).runs[0]
    assert.equal(run.submitted.parameters.TO, '')
    await page.goto(other.base)
    await seen(page.getByRole('region', { name: 'Waiting' }).getByRole('link', { name: /letter/ }))
    assert.equal(await page.getByRole('region', { name: 'Running' }).getByRole('link', { name: /letter/ }).count(), 0)
    await other.stop()
  },
}
