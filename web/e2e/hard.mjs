// Errors and rare cases: gaps, retries, retention, GPUs.
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { faults } from './tests.mjs'

const line = (page, n) => page.locator(`[data-n="${n}"]`)
const seen = (locator) => locator.waitFor({ state: 'visible' })

/** Themes and widths: a phone and a screen. */
const themes = [['light', 1280], ['dark', 375]]
/** Keeps a picture where SHOTS names a directory. */
const picture = (of, name) => process.env.SHOTS && of.screenshot({ path: join(process.env.SHOTS, name + '.png') })

export const hard = {
  async 'a page that opens sends no request twice'(page, world) {
    const run = await world.run('asked', 'for i in $(seq 1 150); do echo $i; done')
    for (const [path, there] of [['', page.getByRole('region', { name: /^Jobs/ })], ['runs/' + run.id, line(page, 150)]]) {
      await page.goto(path)
      await seen(there)
      const asked = await page.evaluate(() => performance.getEntriesByType('resource').map((r) => r.name).filter((n) => n.includes('/api/v1/') && !n.includes('/stream')))
      assert.deepEqual(asked.filter((n, i) => asked.indexOf(n) < i), [], 'sent twice')
      const early = await page.evaluate(() => globalThis.stintEarly.size)
      assert.equal(early, 0, 'early answers that were not taken')
    }
  },

  async 'a gap is shown in its place with its size'(page, world) {
    const run = await world.run('gappy', 'seq 1 400000', '--spool-limit', '1MiB', '--flush-timeout', '20s', '--no-redact', '*')
    const limited = run.output.gaps?.length ? null : await world.other('limited', '--run-log-limit', '65536')
    const shown = limited ? await limited.run('gappy', 'seq 1 400000') : run
    await page.goto((limited?.base ?? world.base) + 'runs/' + shown.id)
    await line(page, shown.output.lines).waitFor()
    const gaps = shown.output.gaps ?? []
    assert.ok(gaps.length > 0, 'a log over its limit has a gap')
    const base = limited?.base ?? world.base
    const log = await (await fetch(`${base}api/v1/runs/${shown.id}/log`, { headers: { Accept: 'application/x-ndjson' } })).text()
    const records = log.trim().split('\n').map((r) => JSON.parse(r))
    const at = records.findIndex((r) => r.gap)
    await page.evaluate((n) => (location.hash = '#L' + n), records[at - 1].n)
    const note = page.locator('.log-note').filter({ hasText: /could not be kept/ }).first()
    await seen(note)
    assert.match(await note.textContent(), /[\d.]+ (KiB|MiB) of stdout/)
    await limited?.stop()
  },

  async 'each attempt of a run has its log'(page, world) {
    const run = await world.run('flaky', 'echo "try $STINT_ATTEMPT"; test "$STINT_ATTEMPT" = 3', '--retries', '2', '--retry-backoff', '200ms')
    assert.equal(run.attempt, 3)
    await page.goto('runs/' + run.id)
    await seen(page.getByText('try 3', { exact: true }))
    await page.getByRole('tab', { name: /^Attempts/ }).click()
    const panel = page.getByRole('tabpanel', { name: /Attempts/ })
    assert.equal(await panel.getByRole('listitem').count(), 3)
    await seen(panel.getByRole('listitem').filter({ hasText: 'Attempt 1' }).getByText('failed'))
    await panel.getByRole('button', { name: 'Attempt 1' }).click()
    await seen(page.getByText('try 1', { exact: true }))
    assert.equal(await page.getByText('try 3', { exact: true }).count(), 0)
  },

  async 'a run that retention removes while it is viewed is reported as removed'(page, world) {
    const other = await world.other('kept')
    const first = await other.run('kept', 'echo first')
    await other.run('kept', 'echo second')
    await page.goto(`${other.base}runs/${first.id}`)
    await seen(line(page, 1))
    await other.stop()
    await other.begin('--keep-runs', '1', '--keep-now')
    await world.until(async () => (await fetch(`${other.base}api/v1/runs/${first.id}`)).status === 404, 'retention to remove the run')
    await page.keyboard.press('/')
    await page.keyboard.type('first')
    await seen(page.getByRole('heading', { name: 'This run is not here' }))
    await page.getByRole('link', { name: 'Other runs of kept' }).click()
    await seen(page.getByRole('link', { name: /#2/ }).first())
    await other.stop()
  },

  async 'a restored copy says so on every page'(_page, world) {
    const original = await world.other('original')
    const run = await original.run('copied', 'echo kept')
    await original.copy('copy')
    await original.stop()
    const copy = await world.other('copy')
    const { copied_at } = await (await fetch(copy.base + 'api/v1/me')).json()
    assert.ok(Date.now() - Date.parse(copied_at) < 300_000, `copied at ${copied_at}`)
    for (const [colorScheme, width] of themes) {
      const page = await world.open({ colorScheme, viewport: { width, height: 800 } })
      for (const path of ['', `runs/${run.id}`, 'settings']) {
        await page.goto(copy.base + path)
        const banner = page.getByRole('status').filter({ hasText: 'Restored copy' })
        await seen(banner)
        assert.equal(await banner.locator('time').getAttribute('datetime'), copied_at)
        assert.match(await banner.textContent(), /no health checks, notifications or deletions happen here.*--activate/)
        const header = await page.getByRole('banner').boundingBox()
        const box = await banner.boundingBox()
        assert.ok(box.y >= header.y + header.height - 1 && box.y < 120, `the banner is at ${box.y}, below a header of ${header.height}`)
        assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, `/${path} is too wide at ${width}`)
        await picture(page, `copy-${width}-${path.slice(0, 4)}`)
      }
      assert.deepEqual(await faults(page), [], `in ${colorScheme} at ${width}`)
      assert.deepEqual(world.complaints(page), [])
      await page.context().close()
    }
    await copy.stop()
    await copy.begin('--activate')
    const page = await world.open()
    await page.goto(copy.base)
    await seen(page.getByRole('link', { name: 'copied', exact: true }))
    assert.equal(await page.getByText('Restored copy').count(), 0)
    await page.context().close()
    await copy.stop()
  },

  async 'what cannot be done for one item is listed with its error and leads to its run'(page, world) {
    const other = await world.other('troubled', '--archive', 's3://logs?endpoint=http://127.0.0.1:1') // nothing listens there
    const run = await other.run('unpacked', 'i=0; while [ $i -lt 200 ]; do i=$((i+1)); head -c 8192 /dev/urandom | base64; done')
    await world.until(async () => (await (await fetch(other.base + 'api/v1/troubled')).json()).items.length > 0, 'an item that cannot be packed', undefined, 120)
    await page.goto(other.base + 'settings')
    const section = page.getByRole('region', { name: 'Troubled items' })
    const item = section.getByRole('listitem')
    await seen(item.first())
    assert.match(await item.first().textContent(), /compress a log/)
    assert.match(await item.first().textContent(), /archive s3:\/\/logs\/ at 127\.0\.0\.1:1/)
    assert.match(await item.first().textContent(), /1 try.*last (now|.+ ago), next /)
    for (const [colorScheme, width] of themes) {
      const looking = await world.open({ colorScheme, viewport: { width, height: 800 } })
      await looking.goto(other.base + 'settings')
      await seen(looking.getByRole('region', { name: 'Troubled items' }).getByRole('listitem').first())
      assert.ok((await looking.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, `too wide at ${width}`)
      assert.deepEqual(await faults(looking), [], `in ${colorScheme} at ${width}`)
      await picture(looking.getByRole('region', { name: 'Troubled items' }), `troubled-${width}`)
      await looking.context().close()
    }
    await item.first().getByRole('link').click()
    await page.waitForURL(other.base + 'runs/' + run.id)
    await other.stop()
  },

  async 'GPUs have charts'(page, world) {
    const bin = join(world.dir, 'gpu-bin')
    mkdirSync(bin, { recursive: true })
    writeFileSync(join(bin, 'nvidia-smi'), '#!/bin/sh\necho "0, NVIDIA A100, 61, 1024, 40960"\necho "1, NVIDIA A100, 7, 2048, 40960"\n')
    chmodSync(join(bin, 'nvidia-smi'), 0o755)
    const run = await world.runWith({ PATH: `${bin}:${process.env.PATH}` }, 'gpus', 'sleep 3', '--sample-period', '250ms')
    await page.goto('runs/' + run.id)
    await page.getByRole('button', { name: /More charts: .*GPU/ }).click()
    await seen(page.getByRole('img', { name: /^GPU over time: NVIDIA A100/ }))
    await seen(page.getByRole('img', { name: /^GPU memory over time/ }))
  },

  async 'lines printed after a search are found too'(page, world) {
    const flag = join(world.dir, 'searched')
    const job = await world.begin('growing', `seq 1 3; echo needle 1; while [ ! -e ${flag} ]; do sleep 0.05; done; i=0; while [ -d . ]; do i=$((i+1)); echo hay $i; case $i in 50|100) echo needle $i;; esac; sleep 0.02; done`)
    await page.goto('runs/' + job.run.id)
    await seen(line(page, 4))
    await page.keyboard.press('/')
    await page.keyboard.type('needle')
    const matches = page.getByRole('status', { name: 'Matches' })
    await matches.filter({ hasText: /of 1$/ }).waitFor()
    writeFileSync(flag, '')
    await matches.filter({ hasText: /of 3$/ }).waitFor()
    job.child.kill('SIGTERM')
    await job.ended
  },

  async 'by keyboard alone: a failed run is found, its error read, its link taken'(_page, world) {
    await world.run('other-job', 'echo other')
    const run = await world.run('keyboard-only', 'seq 1 200; echo "error: no space left for orders"; seq 1 200; exit 3')
    const page = await world.open({ reducedMotion: 'reduce', permissions: ['clipboard-read', 'clipboard-write'] })
    await page.goto('runs')
    await seen(page.getByRole('listitem').filter({ hasText: 'keyboard-only' }))
    const moving = await page.evaluate(() => document.getAnimations().filter((a) => a.playState === 'running' && a.effect.getTiming().duration > 1).length)
    assert.equal(moving, 0, 'nothing moves where people asked for that')
    await page.keyboard.press('/')
    await page.keyboard.type('keyboard-only')
    await page.waitForURL(/q=keyboard-only/)
    await page.getByRole('listitem').filter({ hasText: 'other-job' }).waitFor({ state: 'detached' })
    await page.evaluate(() => document.activeElement.blur())
    await page.keyboard.press('j')
    await page.keyboard.press('Enter')
    await page.waitForURL(new RegExp(run.id))
    await line(page, 401).waitFor()
    await page.keyboard.press('e')
    await page.waitForFunction(() => location.hash === '#L201')
    await seen(line(page, 201))
    const copy = page.getByRole('button', { name: /Copy link/ }).first()
    for (let i = 0; i < 40 && !(await copy.evaluate((e) => e === document.activeElement)); i++) await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await world.until(async () => (await page.evaluate(() => navigator.clipboard.readText())).includes(run.id), 'the link to be copied')
    assert.deepEqual(world.complaints(page), [])
    await page.context().close()
  },

  async 'a typed search does not lead back from another page'(page, world) {
    await world.run('typed', 'echo typed')
    await page.goto('runs')
    await seen(page.getByRole('listitem').filter({ hasText: 'typed' }))
    await page.keyboard.press('/')
    await page.keyboard.type('typ')
    await page.getByRole('link', { name: 'Settings' }).click()
    await page.waitForTimeout(500) // longer than the pause after the last key
    assert.match(page.url(), /settings$/)
  },
}
