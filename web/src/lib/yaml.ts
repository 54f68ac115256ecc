/** Where in a text a message about it points, by its "line N" and "column N". */
export function placeIn(message: string, text: string): { line: number; from: number; to: number } | null {
  const at = /line (\d+)(?:[^\d]{0,12}column (\d+))?|\b(\d+):(\d+)\b/.exec(message)
  if (!at) return null
  const line = Number(at[1] ?? at[3])
  const column = Number(at[2] ?? at[4] ?? 1)
  const lines = text.split('\n')
  if (line < 1 || line > lines.length) return null
  const start = lines.slice(0, line - 1).reduce((n, l) => n + l.length + 1, 0)
  const length = lines[line - 1]!.length
  const from = start + Math.min(Math.max(0, column - 1), length)
  return { line, from, to: start + length }
}
