export interface ServerEvent {
  type: string
  data: string
  id: string
}

/**
 * Reads the text of a server-sent event stream, in pieces of any length. Comments and events
 * without data are dropped.
 */
export class EventParser {
  private rest = ''
  private type = ''
  private data: string[] = []
  private nextId: string

  /** lastId is the id of the last whole event: where to resume. */
  constructor(public lastId = '') {
    this.nextId = lastId
  }

  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = []
    const lines = (this.rest + text).split('\n')
    this.rest = lines.pop() ?? ''
    for (const raw of lines) {
      const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw
      if (line === '') {
        this.lastId = this.nextId
        if (this.data.length > 0) {
          events.push({ type: this.type || 'message', data: this.data.join('\n'), id: this.lastId })
        }
        this.type = ''
        this.data = []
        continue
      }
      this.field(line)
    }
    return events
  }

  /** Drops an incomplete event, as after a broken connection; the place stays. */
  reset() {
    this.rest = ''
    this.type = ''
    this.data = []
    this.nextId = this.lastId
  }

  private field(line: string) {
    const colon = line.indexOf(':')
    if (colon === 0) return
    const name = colon < 0 ? line : line.slice(0, colon)
    let value = colon < 0 ? '' : line.slice(colon + 1)
    if (value.startsWith(' ')) value = value.slice(1)
    if (name === 'event') this.type = value
    else if (name === 'data') this.data.push(value)
    else if (name === 'id' && !value.includes('\0')) this.nextId = value
  }
}
