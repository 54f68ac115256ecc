/** A slower answer does not hold up the next one. */
const workTimeoutMs = 30_000

/**
 * Limits how often work is done. A request does it at once if there was none for a while, else at the
 * end of a pause, which begins when the work is done. So a thousand runs that end together cause one
 * reload, and a slow answer is not given up for the next one.
 */
export function throttled(pauseMs: number, work: () => unknown): { request(): void; stop(): void } {
  const timers = new Set<ReturnType<typeof setTimeout>>()
  let busy = false
  let requested = false
  let stopped = false
  const after = (ms: number) =>
    new Promise<void>((done) => {
      const timer = setTimeout(() => (timers.delete(timer), done()), ms)
      timers.add(timer)
    })
  const clear = () => {
    timers.forEach(clearTimeout)
    timers.clear()
  }
  async function run() {
    busy = true
    while (requested && !stopped) {
      requested = false
      await Promise.race([work(), after(workTimeoutMs)])
      if (stopped) return
      clear()
      await after(pauseMs)
    }
    busy = false
  }
  return {
    request() {
      requested = true
      if (!busy && !stopped) void run()
    },
    stop() {
      stopped = true
      clear()
    },
  }
}
