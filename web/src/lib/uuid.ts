/** A UUID of version 7 for a time in ms, with 10 random bytes. */
export function uuid7(ms: number, random: Uint8Array): string {
  const bytes = new Uint8Array(16)
  for (let i = 5, t = ms; i >= 0; i--, t = Math.floor(t / 256)) bytes[i] = t % 256
  bytes.set(random.subarray(0, 10), 6)
  bytes[6] = (bytes[6]! & 0x0f) | 0x70
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** A new id for a run. Pages without TLS have no crypto.randomUUID. */
export function newRunID(): string {
  return uuid7(Date.now(), crypto.getRandomValues(new Uint8Array(10)))
}
