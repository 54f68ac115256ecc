/**
 * Copies text to the clipboard; false when the browser does not allow it. A page that was loaded
 * over plain HTTP has no navigator.clipboard, but can handle the copy command.
 */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyByCommand(text)
  }
}

function copyByCommand(text: string): boolean {
  let copied = false
  const answer = (e: ClipboardEvent) => {
    e.clipboardData?.setData('text/plain', text)
    e.preventDefault()
    e.stopImmediatePropagation()
    copied = true
  }
  document.addEventListener('copy', answer, { capture: true })
  document.execCommand('copy')
  document.removeEventListener('copy', answer, { capture: true })
  return copied
}
