/** An answer that takes longer does not hold up the next look. */
const patienceMs = 30_000

/**
 * Work that is asked for often and done at most once per pause: at once when it was quiet, else at
 * the end of the pause, which begins when the work is done. So a thousand runs that end together
 * cost one look, and a slow answer is not given up for the next one.
 */
export function paced(ms: number, work: () => unknown): { ask(): void; stop(): void } {
  const timers = new Set<ReturnType<typeof setTimeout>>()
  let busy = false
  let again = false
  let stopped = false
  const after = (pause: number) =>
    new Promise<void>((done) => {
      const timer = setTimeout(() => (timers.delete(timer), done()), pause)
      timers.add(timer)
    })
  const clear = () => {
    timers.forEach(clearTimeout)
    timers.clear()
  }
  const ask = () => {
    again = true
    if (!busy && !stopped) void look()
  }
  async function look() {
    busy = true
    while (again && !stopped) {
      again = false
      await Promise.race([work(), after(patienceMs)])
      if (stopped) return
      clear()
      await after(ms)
    }
    busy = false
  }
  return {
    ask,
    stop() {
      stopped = true
      clear()
    },
  }
}
