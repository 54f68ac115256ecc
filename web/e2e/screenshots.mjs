// Pictures for the README, of a real server with real runs: make screenshots
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { setup } from './setup.mjs'

const target = fileURLToPath(new URL('../../docs/images/', import.meta.url))
mkdirSync(target, { recursive: true })
const world = await setup()

const backup = (chunks) => `for i in $(seq 1 ${chunks}); do echo "chunk $i of ${chunks}: $((i * 37 % 90 + 10)) MiB written"; sleep 0.1; done`
const orders = 'for i in $(seq 1 8); do echo "rows $((i * 12500))"; sleep 0.08; done'
const training = (epochs) => `python3 -u -c "
import time, math, random, sys
random.seed(7); held = []
for e in range(1, ${epochs} + 1):
    held.append(bytearray(3_000_000)); end = time.time() + 0.06 + 0.05 * math.sin(e / 6)
    while time.time() < end: sum(j * j for j in range(1000))
    print(f'\\033[36mepoch {e:3d}\\033[0m  loss {2 / e ** .5 + random.random() * .05:.4f}  accuracy {1 - 1 / (e + 1) ** .5:.3f}')
    if e % 25 == 0: print('checkpoint written slowly: 41 MB/s', file=sys.stderr)
    time.sleep(.1)
"`
const install = 'for p in numpy torch torchvision tqdm pillow; do echo "Collecting $p"; sleep 0.15; done; echo "Successfully installed 5 packages"'

async function history() {
  for (let i = 1; i <= 12; i++) {
    await Promise.all([
      world.run('backup', i % 5 === 0 ? `${backup(3)}; echo "connection reset by peer" >&2; exit 4` : backup(6), '--label', 'site=fra'),
      world.run('etl-orders', i > 10 ? 'echo "rows 12500"; echo "psycopg.errors.UndefinedTable: relation orders_tmp does not exist" >&2; exit 3' : orders, '--label', 'team=data'),
    ])
  }
  for (let i = 0; i < 4; i++) await world.run('train', training(90), '--sample-period', '500ms', '--install', install, '--label', 'model=resnet', '--memory-limit', '768MiB')
  await world.run('report', 'echo waiting for the warehouse; sleep 30', '--timeout', '1s')
}

async function shot(name, path, colorScheme, before = async () => {}) {
  const page = await world.open({ colorScheme, deviceScaleFactor: 1.5, viewport: { width: 1280, height: 800 } })
  await page.goto(path)
  await before(page)
  await page.screenshot({ path: `${target}${name}.png` })
  await page.context().close()
  console.log('docs/images/' + name + '.png')
}

try {
  await history()
  const going = await world.begin('train', training(600), '--sample-period', '500ms', '--install', install, '--label', 'model=resnet', '--memory-limit', '768MiB')
  await world.begin('backup', backup(600), '--label', 'site=fra')
  await world.begin('index-search', 'i=0; while [ $i -lt 600 ]; do i=$((i+1)); echo "indexed $((i * 250)) documents"; sleep 0.2; done')
  const live = await world.until(async () => {
    const run = await world.last('train')
    return run.number === 5 && run.output.lines > 60 ? run : null
  }, 'the training to be under way')
  const seen = (page, text) => page.getByText(text).first().waitFor()
  const wait = (page) => page.waitForTimeout(12_000) // until curves have some length, and the server knows rates of the fleet
  await shot('overview', '', 'light', async (page) => (await seen(page, 'Fleet'), await wait(page)))
  await shot('run', 'runs/' + live.id, 'light', async (page) => (await seen(page, /epoch/), await wait(page)))
  await going.ended // it holds on to memory until its limit is reached
  const { outcome } = await world.until(async () => ((await world.last('train')).outcome ? world.last('train') : null), 'the training to end')
  if (outcome.reason !== 'out_of_memory') throw new Error('the training ended otherwise: ' + outcome.message)
  await shot('run-out-of-memory', 'runs/' + live.id, 'dark', async (page) => (await seen(page, /out of memory|lack of memory/), await page.waitForTimeout(3000))) // its charts appear later
  await shot('job', 'jobs/train', 'light', (page) => seen(page, 'Duration'))
} finally {
  await world.close(true)
}
