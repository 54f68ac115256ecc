import { afterEach, expect, test, vi } from 'vitest'
import type { Early } from '../early'
import { ApiError, call, clockSkew, onLoginRequired } from './client'

const stint = { type: 'urn:stint:unauthorized', title: 'Unauthorized', status: 401, detail: 'this server wants a token' }

afterEach(() => {
  vi.unstubAllGlobals()
  onLoginRequired.clear()
})

/** Calls what answers with a status and a body; returns the error and whether the page was locked. */
async function answered(status: number, body: string) {
  vi.stubGlobal('sessionStorage', { getItem: () => null })
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(body, { status })))
  let locked = false
  onLoginRequired.add(() => (locked = true))
  const error = await call('http://localhost/api/v1/runs').catch((err: unknown) => err)
  return { error: error as ApiError, locked }
}

test('only a problem of a Stint server requires a login', async () => {
  const ours = await answered(401, JSON.stringify(stint))
  expect(ours).toMatchObject({ locked: true, error: { status: 401, message: 'You are not logged in. Log in to continue.' } })
  for (const body of ['', 'null', '[]', '"x"', '<html>sign in</html>', '{"type":7}', JSON.stringify({ ...stint, type: 'about:blank' })]) {
    const other = await answered(401, body)
    expect(other.locked, body).toBe(false)
    expect(other.error, body).toBeInstanceOf(ApiError)
    expect(other.error.message, body).toContain('not from a Stint server')
  }
})

test('other problems say what the server says', async () => {
  const { error, locked } = await answered(404, JSON.stringify({ type: 'urn:stint:not-found', title: 'Not Found', status: 404 }))
  expect(error.message).toBe('Not Found')
  expect(locked).toBe(false)
})

test('the clock is learned from a new answer, not from one that was requested early', async () => {
  vi.stubGlobal('sessionStorage', { getItem: () => null })
  const dated = (agoMs: number) => new Response('{}', { headers: { Date: new Date(Date.now() - agoMs).toUTCString() } })
  const url = 'http://localhost/api/v1/overview'
  const scope = globalThis as { stintEarly?: Early }
  scope.stintEarly = new Map([[url, { at: Date.now(), answer: Promise.resolve(dated(4500)) }]])
  await call(url)
  expect(scope.stintEarly.size).toBe(0)
  expect(clockSkew()).toBe(0)
  vi.stubGlobal('fetch', () => Promise.resolve(dated(60_000)))
  await call(url)
  expect(Math.abs(clockSkew() + 60_000)).toBeLessThan(2000)
  vi.stubGlobal('fetch', () => Promise.resolve(dated(0)))
  await call(url)
  expect(clockSkew()).toBe(0)
  delete scope.stintEarly
})

test('a problem leads to its place in the text that was sent', async () => {
  const problem = { type: 'urn:stint:refused', title: 'Unprocessable', status: 422, detail: 'line 2, column 5: unknown key' }
  expect((await answered(422, JSON.stringify({ ...problem, line: 2, column: 5 }))).error.place).toEqual({ line: 2, column: 5 })
  expect((await answered(422, JSON.stringify({ ...problem, line: 2 }))).error.place).toEqual({ line: 2, column: 1 })
  expect((await answered(422, JSON.stringify(problem))).error.place).toBeNull()
})
