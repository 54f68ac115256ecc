import { expect, test } from 'vitest'
import { parseRoute, path } from './route'

test.each([
  ['/', '/', { page: 'overview' }],
  ['/runs', '/', { page: 'runs' }],
  ['/runs/', '/', { page: 'runs' }],
  ['/runs/0199', '/', { page: 'run', id: '0199' }],
  ['/runs/train%2312', '/', { page: 'run', id: 'train#12' }],
  ['/ops/stint/jobs/nightly%20backup', '/ops/stint/', { page: 'job', name: 'nightly backup' }],
  ['/ops/stint/', '/ops/stint/', { page: 'overview' }],
  ['/jobs', '/', { page: 'jobs' }],
  ['/queue', '/', { page: 'queue' }],
  ['/workers/', '/', { page: 'workers' }],
  ['/workers/gpu%207', '/', { page: 'worker', name: 'gpu 7' }],
  ['/workers/a/b', '/', { page: 'missing', path: '/workers/a/b' }],
  ['/queue/a', '/', { page: 'missing', path: '/queue/a' }],
  ['/runs/a/b', '/', { page: 'missing', path: '/runs/a/b' }],
  ['/jobs/%', '/', { page: 'job', name: '%' }],
])('%s under %s', (p, root, want) => expect(parseRoute(p, root)).toEqual(want))

test('paths lead back to their routes', () => {
  const root = 'http://h/ops/'
  const back = (rel: string) => parseRoute(new URL(rel, root).pathname, '/ops/')
  expect(back(path.job('a b?c'))).toEqual({ page: 'job', name: 'a b?c' })
  expect(back(path.run('train#1'))).toEqual({ page: 'run', id: 'train#1' })
  expect(back(path.worker('w/1 %'))).toEqual({ page: 'worker', name: 'w/1 %' })
  expect(back(path.overview())).toEqual({ page: 'overview' })
  expect(path.runs({ state: 'failed' })).toBe('runs?state=failed')
  expect(path.queue({ group: 'db' })).toBe('queue?group=db')
})
