import assert from 'node:assert/strict'
import { faults } from './tests.mjs'

const seen = (locator) => locator.waitFor({ state: 'visible' })
const status = async (world, path) => (await fetch(world.base + 'api/v1/' + path)).status

export const deletion = {
  async 'a run is deleted for good from its page, after a question'(page, world) {
    const run = await world.run('leaky', 'echo secret')
    const kept = await world.run('leaky', 'echo harmless')
    await page.goto('runs/' + run.id)
    await page.getByRole('button', { name: 'Delete', exact: true }).click()
    const dialog = page.getByRole('dialog', { name: `Delete leaky #${run.number}?` })
    await seen(dialog.getByText(/The run goes with its log, .* cannot be undone/))
    assert.deepEqual(await faults(page), [])
    await dialog.getByRole('button', { name: 'Close' }).click()
    await dialog.waitFor({ state: 'hidden' })
    assert.equal(await status(world, 'runs/' + run.id), 200, 'the question alone deletes nothing')

    await page.getByRole('button', { name: 'Delete', exact: true }).click()
    await dialog.getByRole('button', { name: 'Delete for good' }).click()
    await page.waitForURL('**/jobs/leaky*')
    await seen(page.getByRole('link', { name: `#${kept.number}` }).first())
    assert.equal(await page.getByRole('link', { name: `#${run.number}`, exact: true }).count(), 0, 'the run is still listed')
    assert.equal(await status(world, 'runs/' + run.id), 410)
    assert.equal(await status(world, 'runs/' + kept.id), 200)
  },

  async 'an active run and its job cannot be deleted'(page, world) {
    const job = await world.begin('cannot-be-deleted', 'while [ -d . ]; do sleep 0.1; done')
    await page.goto('runs/' + job.run.id)
    await seen(page.getByRole('button', { name: 'Cancel' }))
    assert.equal(await page.getByRole('button', { name: 'Delete', exact: true }).count(), 0)
    await page.goto('jobs/cannot-be-deleted')
    const button = page.getByRole('button', { name: 'Delete', exact: true })
    await seen(button)
    assert.ok(await button.isDisabled(), 'the job of an active run can be deleted')
    assert.equal(await button.getAttribute('title'), 'It has active runs: cancel them first')
    await fetch(world.base + `api/v1/runs/${job.run.id}/cancel`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"by":"the test"}' })
    await job.ended
    await page.getByRole('button', { name: 'Delete', exact: true, disabled: false }).waitFor()
  },

  async 'a job is deleted with its runs, and an error stays in the dialog'(page, world) {
    const run = await world.run('old-report', 'echo once')
    await world.run('other-report', 'echo too')
    await page.goto('jobs/old-report')
    await page.getByRole('button', { name: 'Delete', exact: true }).click()
    const dialog = page.getByRole('dialog', { name: 'Delete old-report?' })
    await seen(dialog.getByText(/The job goes with all its runs/))
    await page.route('**/api/v1/jobs/old-report', (route) =>
      route.request().method() === 'DELETE'
        ? route.fulfill({ status: 409, contentType: 'application/problem+json', json: { type: 'urn:stint:conflict', title: 'Conflict', status: 409, detail: 'a run of the job goes on' } })
        : route.fallback(),
    )
    await dialog.getByRole('button', { name: 'Delete for good' }).click()
    await seen(dialog.getByRole('alert').filter({ hasText: 'a run of the job goes on' }))
    await page.unrouteAll({ behavior: 'ignoreErrors' })
    await dialog.getByRole('button', { name: 'Delete for good' }).click()
    await page.waitForURL((url) => url.pathname.endsWith('/jobs'))
    await seen(page.getByRole('link', { name: 'other-report' }).first())
    assert.equal(await page.getByRole('link', { name: 'old-report' }).count(), 0, 'the job is still listed')
    assert.equal(await status(world, 'jobs/old-report'), 404)
    assert.equal(await status(world, 'runs/' + run.id), 410)
  },
}
