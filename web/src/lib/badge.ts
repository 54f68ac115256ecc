// Code to paste into a README. The name of a job can contain any markup.

const inHTML: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

function escapeHTML(text: string): string {
  return text.replace(/[&<>"']/g, (c) => inHTML[c]!)
}

/** Markdown allows HTML, too; a closing bracket would end the text. */
function escapeMarkdown(text: string): string {
  return escapeHTML(text).replace(/[\\`*_[\]()!|~]/g, '\\$&')
}

/** An address within brackets or quotes: encodeURIComponent leaves some characters that end it. */
function escapeURL(url: string): string {
  return url.replace(/[()'"<>\s]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0'))
}

export function badgeMarkdown(name: string, picture: string, page: string): string {
  return `[![${escapeMarkdown(name)}](${escapeURL(picture)})](${escapeURL(page)})`
}

export function badgeHTML(name: string, picture: string, page: string): string {
  return `<a href="${escapeHTML(escapeURL(page))}"><img alt="${escapeHTML(name)}" src="${escapeHTML(escapeURL(picture))}"></a>`
}
