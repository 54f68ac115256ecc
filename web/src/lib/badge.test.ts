import { expect, test } from 'vitest'
import { badgeHTML, badgeMarkdown } from './badge'

test('a plain name stays as it is', () => {
  expect(badgeMarkdown('backup-db', 'http://h/b.svg', 'http://h/jobs/backup-db')).toBe('[![backup-db](http://h/b.svg)](http://h/jobs/backup-db)')
  expect(badgeHTML('backup-db', 'http://h/b.svg', 'http://h/j')).toBe('<a href="http://h/j"><img alt="backup-db" src="http://h/b.svg"></a>')
})

test('a name cannot end its place in a snippet', () => {
  const name = '"><img src=x onerror=alert(1)>](http://evil) & \'x\''
  const url = 'http://h/jobs/' + encodeURIComponent(name)
  const html = badgeHTML(name, url + '/badge.svg', url)
  expect(html.match(/</g)).toHaveLength(3)
  expect(html).toContain('alt="&quot;&gt;&lt;img src=x onerror=alert(1)&gt;](http://evil) &amp; &#39;x&#39;"')
  const markdown = badgeMarkdown(name, url + '/badge.svg', url)
  expect(markdown).not.toMatch(/[<>]/)
  expect(markdown.match(/(?<!\\)\]\(/g)).toHaveLength(2)
  expect(markdown.match(/(?<!\\)\)/g)).toHaveLength(2)
})
