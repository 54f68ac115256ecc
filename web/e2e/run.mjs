// The page in a real browser, on the real server, with real runs. Usage:
//   STINT_BIN=../bin/stint npm run e2e [part of a test's name]
// Needs Chromium: CHROMIUM names it, else it is looked for where Debian puts it.
import { definitions } from './definitions.mjs'
import { deletion } from './delete.mjs'
import { details } from './details.mjs'
import { hard } from './hard.mjs'
import { live } from './live.mjs'
import { overview } from './overview.mjs'
import { pages } from './pages.mjs'
import { queue } from './queue.mjs'
import { runpage } from './runpage.mjs'
import { schedule } from './schedule.mjs'
import { setup } from './setup.mjs'
import { submit } from './submit.mjs'
import { tests } from './tests.mjs'

const wanted = process.argv[2] ?? ''
const world = await setup()
/** The longest that a test may take: one that waits for ever must not hold up the others. */
const limit = 240_000
function bounded(test) {
  let timer
  const over = new Promise((_, fail) => (timer = setTimeout(() => fail(new Error(`it has not ended within ${limit / 1000} s`)), limit)))
  return Promise.race([test, over]).finally(() => clearTimeout(timer))
}
let failed = 0
let passed = 0
try {
  for (const [name, test] of Object.entries({ ...tests, ...pages, ...hard, ...live, ...runpage, ...overview, ...details, ...definitions, ...schedule, ...queue, ...submit, ...deletion })) {
    if (!name.includes(wanted)) continue
    const started = Date.now()
    const page = await world.open()
    try {
      await bounded(test(page, world))
      const noise = world.complaints(page)
      if (noise.length > 0) throw new Error('the browser complained: ' + noise.join('; '))
      passed++
      console.log(`ok   ${name} (${Date.now() - started} ms)`)
    } catch (err) {
      failed++
      console.log(`FAIL ${name}: ${err.stack}`)
      await page.screenshot({ path: `${world.dir}/${name.replaceAll(' ', '-')}.png` }).catch(() => {})
      console.log(`     screenshot in ${world.dir}`)
    }
    await page.context().close()
  }
} finally {
  await world.close(failed === 0)
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 || passed === 0 ? 1 : 0
