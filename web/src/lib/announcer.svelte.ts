/** One short message to the person, such as "Copied". A message can disappear after a while. */
export class Announcer {
  text = $state('')
  private timer: ReturnType<typeof setTimeout> | undefined

  /** visibleMs is how long a message is shown; 0 shows it until the next one. */
  constructor(private readonly visibleMs = 0) {}

  announce(text: string, visibleMs = this.visibleMs) {
    clearTimeout(this.timer)
    this.text = text
    if (text !== '' && visibleMs > 0) this.timer = setTimeout(() => (this.text = ''), visibleMs)
  }

  clear() {
    this.announce('')
  }
}
