/** Reads newline-delimited JSON in pieces of any length; lines that are not JSON are dropped. */
export class JSONLines<T> {
  private rest = ''

  push(text: string): T[] {
    const lines = (this.rest + text).split('\n')
    this.rest = lines.pop() ?? ''
    const out: T[] = []
    for (const line of lines) {
      if (line.trim() === '') continue
      try {
        out.push(JSON.parse(line) as T)
      } catch {
        // Damaged in transit; the other lines are still valid.
      }
    }
    return out
  }
}

/** Reads an answer of newline-delimited JSON as it arrives. */
export async function readLines<T>(res: Response, take: (items: T[]) => void): Promise<void> {
  if (!res.body) return
  const reader = res.body.pipeThrough(new TextDecoderStream()).getReader()
  const parser = new JSONLines<T>()
  for (;;) {
    const { done, value } = await reader.read()
    const items = parser.push(done ? '\n' : value)
    if (items.length > 0) take(items)
    if (done) return
  }
}
