import { call } from '../lib/api/client'

/** Saves an answer that needs the token, which a plain link cannot bring. */
export async function saveFile(url: string, name: string) {
  const res = await call(url)
  const blob = URL.createObjectURL(await res.blob())
  const a = document.createElement('a')
  a.href = blob
  a.download = name
  a.click()
  URL.revokeObjectURL(blob)
}
