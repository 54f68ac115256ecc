import { expect, test } from 'vitest'
import { EventParser } from './parser'

const stream = ': hello\n\nid: 1:20\nevent: output\ndata: {"a":1}\n\ndata: x\r\ndata: y\r\n\r\nevent: none\n\nid: 1:40\ndata:z\n\n'

test('the same events however the text is cut', () => {
  const want = [
    { type: 'output', data: '{"a":1}', id: '1:20' },
    { type: 'message', data: 'x\ny', id: '1:20' },
    { type: 'message', data: 'z', id: '1:40' },
  ]
  for (let cut = 0; cut <= stream.length; cut++) {
    const p = new EventParser()
    expect([...p.push(stream.slice(0, cut)), ...p.push(stream.slice(cut))]).toEqual(want)
  }
})

test('a broken connection drops the half event and keeps the place', () => {
  const p = new EventParser()
  p.push('id: 7\ndata: a\n\nid: 8\ndata: ha')
  p.reset()
  expect(p.push('data: b\n\n')).toEqual([{ type: 'message', data: 'b', id: '7' }])
})
