import assert from 'node:assert/strict'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { faults } from './tests.mjs'

const seen = (locator) => locator.waitFor({ state: 'visible' })
/** Keeps a picture where SHOTS names a directory. */
const picture = (page, name) => process.env.SHOTS && page.screenshot({ path: join(process.env.SHOTS, name + '.png'), fullPage: true })

export const definition = `job: report
description: Orders of the day
script: echo "report of $DAY"
parameters:
  - {name: DAY, type: date, default: yesterday, help: the day to report}
requires: {gpu: "true"}
group: warehouse
`

/** Looks at a page in both themes on a phone and on a screen. */
export async function looks(world, url, name, there, before = async () => {}) {
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [375, 1280]) {
      const page = await world.open({ colorScheme, viewport: { width, height: 800 } })
      await page.goto(url)
      await seen(there(page))
      await before(page)
      await picture(page, `${name}-${width}-${colorScheme}`)
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
      assert.ok(over <= 0, `${name} is ${over} px too wide at ${width}`)
      assert.deepEqual(await faults(page), [], `${name} in ${colorScheme} at ${width}`)
      assert.deepEqual(world.complaints(page), [])
      await page.context().close()
    }
  }
}

export const queue = {
  async 'an empty queue and no workers say what to do'(page, world) {
    const other = await world.other('empty-queue')
    await looks(world, other.base + 'queue', 'queue-empty', (p) => p.getByRole('heading', { name: 'Nothing waits' }))
    await looks(world, other.base + 'workers', 'workers-empty', (p) => p.getByRole('heading', { name: 'No worker has asked for runs yet' }))
    await page.goto(other.base + 'queue')
    await page.getByRole('button', { name: 'Copy the command' }).first().waitFor()
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Workers' }).click()
    await seen(page.getByText(`stint worker run --server ${other.base.replace(/\/$/, '')} --slots 4`))
    await other.stop()
  },

  async 'the queue says what each run waits for, and is changed by keys'(page, world) {
    const other = await world.other('waiting')
    await other.api('PUT', 'groups/warehouse', { limit: 2 })
    await other.apply(definition)
    const worker = await other.worker('w1', '--allow-commands') // none has a GPU
    const first = await other.submit('report')
    const second = await other.submit('report')
    await other.submit('', { job: 'later', command: { version: 1, args: ['true'] }, delay_ms: 3_600_000 })
    const last = await other.submit('', { job: 'after', command: { version: 1, args: ['true'] }, after: [{ run: first.id, when: 'succeeded' }] })
    await page.goto(other.base + 'queue')
    const stuck = page.getByRole('list', { name: 'Runs that cannot start' })
    await seen(stuck.getByText(/The only worker cannot take it; it needs gpu=true/).first())
    assert.equal(await stuck.getByText('never').count(), 2)
    await seen(page.getByText(/Waits until report#1 has succeeded; it is queued/))
    await seen(page.getByText(/May start at .*\. Opens in (59 m|1 h)/))
    await seen(page.getByRole('img', { name: '0 of 2 places in use' }))
    await looks(world, other.base + 'queue', 'queue', (p) => p.getByText(/Waits until report#1/), async (p) => {
      if (p.viewportSize().width > 1000) await p.getByRole('button', { name: 'Select' }).click()
    })

    // Keys: to the third row, priority of it; then two of them are canceled.
    await page.keyboard.press('j')
    await page.keyboard.press('p')
    await page.getByRole('dialog').getByLabel('Priority').selectOption('low')
    await page.getByRole('dialog').getByRole('button', { name: 'Change the priority' }).click()
    await seen(stuck.getByText(/^low/))
    await page.locator(`a[data-run="${second.id}"]`).focus()
    await page.keyboard.press('x')
    await page.locator(`a[data-run="${last.id}"]`).focus()
    await page.keyboard.press('x')
    await seen(page.getByRole('region', { name: 'Selected runs' }).getByText('2 runs selected'))
    await page.keyboard.press('c')
    await page.getByLabel('Reason').fill('a test')
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel 2 runs' }).click()
    await page.locator(`a[data-run="${last.id}"]`).waitFor({ state: 'detached' })
    assert.equal((await other.get('runs/' + last.id)).state, 'canceled')

    // The limit of the group, and only its runs.
    await page.getByRole('button', { name: 'Limit of warehouse' }).click()
    await page.getByRole('dialog').getByLabel('Limit').fill('5')
    await page.getByRole('button', { name: 'Set the limit' }).click()
    await seen(page.getByRole('img', { name: '0 of 5 places in use' }))
    await page.getByRole('list', { name: 'Groups' }).getByRole('link', { name: 'warehouse' }).click()
    await page.waitForURL(/queue\?group=warehouse$/)
    await page.getByText('later', { exact: true }).waitFor({ state: 'detached' })
    assert.equal(await page.locator('a[data-run]').count(), 1)
    await worker.stop()
    await other.stop()
  },

  async 'held runs of a restored copy are released'(page, world) {
    const other = await world.other('held-original')
    await other.apply(definition)
    await other.submit('report')
    await other.copy('held-copy')
    await other.stop()
    const copy = await world.other('held-copy', '--activate')
    await page.goto(copy.base + 'queue')
    await seen(page.getByText('1 run is held:'))
    await seen(page.getByRole('list', { name: 'Runs that cannot start' }).getByText(/A person must release it/))
    await page.getByRole('button', { name: 'Show only these' }).click()
    await page.waitForURL(/queue\?held=true$/)
    await page.getByRole('button', { name: 'Release all…' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Release all' }).click()
    await seen(page.getByText('No queued run matches.'))
    assert.equal((await copy.get('queue')).held, 0)
    await copy.stop()
  },

  async 'workers show their slots, and are drained and resumed'(page, world) {
    const other = await world.other('working')
    const worker = await other.worker('w7', '--slots', '3', '--label', 'zone=fra', '--allow-commands')
    const run = await other.submit('', { job: 'long', command: { version: 1, args: ['sleep', '600'] } })
    await page.goto(other.base + 'workers')
    const row = page.getByRole('list', { name: 'Workers' }).getByRole('listitem')
    await seen(row.getByRole('img', { name: '1 of 3 slots in use' }))
    const text = await row.innerText()
    for (const part of ['w7', 'ready', 'zone=fra', 'commands too', 'free', 'asked for runs']) assert.ok(text.includes(part), `${part} is missing in ${text}`)
    await page.getByRole('button', { name: 'Drain w7' }).click()
    await page.getByLabel('Reason').fill('new disk')
    await page.getByLabel('Jobs that run there are stopped').selectOption('60')
    await page.getByRole('button', { name: 'Drain the worker' }).click()
    await seen(row.getByText(/: new disk · 1 run may go on for 59 m|: new disk · 1 run may go on for 1 h/))
    await looks(world, other.base + 'workers', 'workers', (p) => p.getByText(/new disk/))
    await page.getByRole('button', { name: 'Resume w7' }).click()
    await seen(row.getByText('ready'))
    await other.api('POST', `runs/${run.id}/cancel`, {})
    await seen(row.getByRole('img', { name: '0 of 3 slots in use' }))
    await worker.stop()
    await seen(row.getByText('away'))
    await seen(page.getByText(/No worker is connected/))
    await other.stop()
  },

  async 'the page of a worker shows what it runs and what it started last, and drains it'(page, world) {
    const other = await world.other('one-worker')
    const command = (job, ...args) => other.submit('', { job, command: { version: 1, args } })
    const ended = (run) => world.until(async () => (await other.get('runs/' + run.id)).ended_at, 'the run to end')
    const before = await other.worker('w8', '--allow-commands')
    await ended(await command('elsewhere', 'true'))
    await before.stop()
    const worker = await other.worker('w7', '--slots', '3', '--label', 'zone=fra', '--allow-commands')
    const quick = await command('quick', 'true')
    await ended(quick)
    const long = await command('long', 'sleep', '600')
    await page.goto(other.base + 'workers')
    await page.getByRole('list', { name: 'Workers' }).getByRole('link', { name: 'w7', exact: true }).click()
    await seen(page.getByRole('heading', { name: 'w7', level: 1 }))
    await seen(page.getByRole('img', { name: '1 of 3 slots in use' }))
    for (const text of ['zone=fra', 'every job, and commands']) await seen(page.getByText(text, { exact: true }))
    const [running, last] = [page.getByRole('region', { name: 'Running' }), page.getByRole('region', { name: 'Started last' })]
    await seen(running.getByRole('link', { name: /long/ }))
    await seen(last.locator(`[data-run="${quick.id}"]`))
    assert.deepEqual([await last.getByText('elsewhere').count(), await last.getByText('long').count()], [0, 0])
    await page.getByRole('button', { name: 'Drain…' }).click()
    await page.getByLabel('Reason').fill('new disk')
    await page.getByRole('button', { name: 'Drain the worker' }).click()
    await seen(page.getByText(/: new disk · 1 run may end$/))
    await looks(world, other.base + 'workers/w7', 'worker', (p) => p.locator(`[data-run="${quick.id}"]`))
    await other.api('POST', `runs/${long.id}/cancel`, {})
    await seen(last.locator(`[data-run="${long.id}"]`))
    await seen(running.getByText('Nothing runs there now.'))
    await page.getByRole('button', { name: 'Resume' }).click()
    await seen(page.getByRole('button', { name: 'Drain…' }))
    await last.locator(`[data-run="${quick.id}"]`).click()
    await page.getByRole('tab', { name: 'Details' }).click()
    await page.getByRole('link', { name: 'w7', exact: true }).click()
    await seen(page.getByRole('heading', { name: 'w7', level: 1 }))
    await page.goto(other.base + 'workers/nobody')
    await seen(page.getByRole('heading', { name: 'No such worker' }))
    const { token } = await other.api('POST', 'tokens', { name: 'ro', scope: 'read' })
    await page.evaluate((t) => sessionStorage.setItem('stint.token', t), token)
    await page.goto(other.base + 'workers/w7')
    await seen(page.getByText('Draining and resuming need the scope write; yours is read.'))
    assert.ok(await page.getByRole('button', { name: 'Drain…' }).isDisabled())
    await worker.stop()
    await seen(page.getByText('away', { exact: false }).first())
    await other.stop()
  },

  async 'a run that waits for too long has a finding with a countdown'(page, world) {
    const other = await world.other('too-long')
    const run = await other.submit('', { job: 'long', command: { version: 1, args: ['true'] } })
    const next = new Date(Date.now() + 1800_000).toISOString()
    const since = '2026-03-01 05:00:00 UTC'
    const found = { rule: 'waiting', health: 'warning', since: run.created_at, evidence: `It has waited for a worker since ${since}.`, next: 'the run is canceled', next_code: 'cancel', next_at: next }
    const late = { health: 'warning', findings: [found], sentence_times: [{ text: since, at: '2026-03-01T05:00:00Z' }] }
    // It would take an hour: the server's answers are changed as if it had passed, and its live stream is away.
    await page.addInitScript(() => { delete window.SharedWorker })
    await page.route('**/api/v1/**/stream*', (route) => route.abort())
    await page.route((url) => url.pathname.endsWith('/api/v1/runs/' + run.id), async (route) => {
      const response = await route.fetch()
      await route.fulfill({ response, json: { ...(await response.json()), ...late } })
    })
    await page.route((url) => url.pathname.endsWith('/api/v1/queue'), async (route) => {
      const response = await route.fetch()
      const answer = await response.json()
      await route.fulfill({ response, json: { ...answer, runs: answer.runs.map((r) => ({ ...r, health: 'warning' })) } })
    })
    await page.goto(other.base + 'runs/' + run.id)
    await seen(page.getByText(/^waiting, canceled in 29 m|^waiting, canceled in 30 m/))
    const verdict = page.getByRole('group', { name: 'Verdict' })
    await seen(verdict.getByText(/It has waited for a worker since .*The run is canceled in (29|30) m/))
    assert.ok(!(await verdict.innerText()).includes('UTC'))
    await seen(page.getByRole('group', { name: 'What it waits for' }).getByText(/No worker is connected/))
    await page.getByRole('button', { name: 'Acknowledge' }).waitFor()
    await picture(page, 'run-waiting')
    await page.goto(other.base + 'queue')
    await seen(page.getByTitle('A health rule fires: it has waited for too long.'))
    await picture(page, 'queue-waiting')
    assert.deepEqual(await faults(page), [])
    await other.stop()
  },

  async 'a run says which worker is not offered it, and so does the worker'(page, world) {
    const other = await world.other('withheld')
    await other.apply('job: report\ncommand: ["true"]\n')
    const empty = mkdtempSync(join(tmpdir(), 'no-definitions-'))
    const worker = await other.worker('w7', '--definitions', empty)
    const run = await other.submit('report')
    const why = /Worker w7 is not offered report until .*, because 3 claims of it ended without a start \(3 given back\), the last one because/
    await page.goto(other.base + 'runs/' + run.id)
    const waits = page.getByRole('group', { name: 'What it waits for' })
    await seen(waits.getByText(why))
    assert.ok(!(await waits.innerText()).includes('UTC'), 'times are those of the browser')
    await page.goto(other.base + 'workers')
    await seen(page.getByRole('list', { name: 'Workers' }).getByText(why))
    await looks(world, other.base + 'workers', 'workers-withheld', (p) => p.getByText(/is not offered report/))
    await worker.stop()
    rmdirSync(empty)
    await other.stop()
  },

  async 'who may only read sees no buttons, and why'(page, world) {
    const other = await world.other('reading')
    await other.apply(definition)
    await other.api('PUT', 'groups/warehouse', { limit: 2 })
    await other.submit('report')
    const { token } = await other.api('POST', 'tokens', { name: 'ro', scope: 'read' })
    await page.goto(other.base)
    await page.evaluate((t) => sessionStorage.setItem('stint.token', t), token)
    await page.goto(other.base + 'queue')
    await seen(page.getByText(/Canceling, releasing and changing priorities need the scope write; yours is read/))
    await seen(page.getByText(/Changing a limit needs the scope author; yours is read/))
    assert.equal(await page.getByRole('button', { name: /Select|Limit/ }).count(), 0)
    await page.goto(other.base + 'queue')
    await page.locator('a[data-run]').first().focus()
    await page.keyboard.press('c')
    assert.equal(await page.getByRole('dialog').count(), 0)
    await other.stop()
  },
}
