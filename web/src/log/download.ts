import { call } from '../lib/api/client'

const revokeAfterMs = 60_000 // by then the browser has begun to read it

interface Picker {
  showSaveFilePicker?: (options: { suggestedName: string }) => Promise<{ createWritable(): Promise<WritableStream<Uint8Array>> }>
}

/**
 * Saves an answer that needs the token, which a plain link cannot send. The bytes go directly
 * into the file if the browser supports that, else through memory.
 */
export async function saveFile(url: string, name: string) {
  const pick = (window as Picker).showSaveFilePicker
  if (pick) {
    const file = await pick({ suggestedName: name }).catch((err: unknown) => {
      if (err instanceof DOMException && err.name === 'AbortError') return null // the person closed the dialog
      throw err
    })
    if (!file) return
    const res = await call(url)
    await res.body?.pipeTo(await file.createWritable())
    return
  }
  const res = await call(url)
  const blob = URL.createObjectURL(await res.blob())
  const a = document.createElement('a')
  a.href = blob
  a.download = name
  a.click()
  setTimeout(() => URL.revokeObjectURL(blob), revokeAfterMs)
}
