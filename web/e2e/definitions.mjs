import assert from 'node:assert/strict'
import { faults } from './tests.mjs'

const seen = (locator) => locator.waitFor({ state: 'visible' })

const report = `job: report
description: Orders of the day
command: [python, report.py]
parameters:
  - {name: DAY, type: date, default: yesterday, help: the day to report}
  - {name: COUNT, type: integer, min: 1, max: 10}
  - {name: FORMAT, type: choice, choices: [pdf, html], default: pdf}
`

/** Applies definitions, as stint apply does. */
async function apply(world, yaml) {
  const body = JSON.stringify({ files: [{ name: 'report.yaml', yaml }], force: true })
  const res = await fetch(world.base + 'api/v1/definitions', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body })
  assert.equal(res.status, 200, await res.text())
}

export const definitions = {
  async 'a job without runs shows its definition, which is edited with its mistakes in place'(page, world) {
    await apply(world, report)
    await page.goto('jobs/report#definition')
    const text = page.getByRole('textbox', { name: 'Definition of report, as YAML' })
    await seen(text)
    assert.equal(await text.inputValue(), report)
    await text.fill(report.replace('max: 10', 'max: x') + 'zone: Nowhere\n')
    await page.getByRole('button', { name: 'Check and show changes' }).click()
    const alert = page.getByRole('alert')
    await seen(alert.getByText(/not a whole number/))
    await seen(alert.getByText(/no name of a time zone/))
    await alert.getByRole('button', { name: 'Line 8' }).click()
    assert.ok(await text.evaluate((t) => t.value.slice(t.selectionStart).startsWith('Nowhere')))
    await text.fill(report.replace('max: 10', 'max: 20'))
    await page.getByRole('button', { name: 'Check and show changes' }).click()
    await seen(page.getByRole('list', { name: 'Changes' }).getByText('parameters.COUNT.max: "10" → "20"'))
    await page.getByRole('button', { name: 'Save' }).click()
    await seen(page.getByText(/edited here since/))
    await seen(page.getByRole('listitem').filter({ hasText: 'now' }).getByText('parameters.COUNT.max: "10" → "20"'))
  },

  async 'an edit of what somebody else changed meanwhile is a conflict'(page, world) {
    await apply(world, report)
    await page.goto('jobs/report#definition')
    const text = page.getByRole('textbox', { name: 'Definition of report, as YAML' })
    await seen(text)
    await apply(world, report.replace('Orders', 'All orders'))
    await text.fill(report.replace('Orders', 'No orders'))
    assert.equal(await page.getByRole('button', { name: 'Save' }).count(), 0, 'saved before the changes were shown')
    await page.getByRole('button', { name: 'Check and show changes' }).click()
    await page.getByRole('button', { name: 'Save' }).click()
    await seen(page.getByRole('alert').getByText(/was changed since it was opened here/))
    await page.getByRole('button', { name: 'Overwrite' }).click()
    await seen(page.getByRole('status').getByText(/Saved/))
  },

  async 'a job is paused with a reason, and resumed'(page, world) {
    await apply(world, report)
    await page.setViewportSize({ width: 375, height: 700 })
    await page.goto('jobs/report')
    await page.getByRole('button', { name: 'Pause…' }).click()
    await page.getByLabel('Why').fill('a migration')
    await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click()
    await seen(page.getByText(/Paused .*: a migration/))
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page scrolls sideways')
    await page.getByRole('button', { name: 'Resume' }).click()
    await seen(page.getByRole('button', { name: 'Pause…' }))
  },

  async 'a limit of a policy that waits is shown on the page of its job'(page, world) {
    const other = await world.other('limits-wait')
    for (let i = 0; i < 3; i++) await other.run('kept-short', 'true')
    const set = await fetch(`${other.base}api/v1/jobs/kept-short/policy`, { method: 'PUT', headers: { 'Content-Type': 'application/yaml' }, body: 'keep: {runs: 1}\n' })
    assert.equal(set.status, 200)
    await other.stop()
    await other.begin() // it looks for runs to delete at once
    await world.until(async () => (await other.get('jobs/kept-short/policy')).keep_pending?.length === 1, 'the limit to wait')
    for (const width of [1280, 375]) {
      await page.setViewportSize({ width, height: 800 })
      await page.goto(other.base + 'settings')
      const waits = page.getByRole('note', { name: 'Limits that wait' })
      await waits.getByRole('link', { name: 'kept-short' }).click()
      await page.waitForURL('**/jobs/kept-short#policy')
      await seen(waits.getByText(/^keep\.runs: the last 1 run, from .* on\. It would delete 2 of 3 ended runs at once; until then: no limit\.$/))
      await seen(page.getByRole('textbox', { name: 'Policy of kept-short, as YAML' }))
      assert.deepEqual(await faults(page), [])
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page scrolls sideways')
    }
    const [text, save] = [page.getByRole('textbox', { name: 'Policy of kept-short, as YAML' }), page.getByRole('button', { name: 'Save' })]
    const waits = page.getByRole('note', { name: 'Limits that wait' })
    await text.fill('keep: {runs: 1}\nrules:\n  stalled: {after: 2h}\n')
    await save.click()
    await seen(page.getByText(/^Saved/))
    await seen(waits) // the change is about something else
    await text.fill('keep: {runs: 10}\n')
    await save.click()
    await waits.waitFor({ state: 'detached' })
    await other.stop()
  },
}
