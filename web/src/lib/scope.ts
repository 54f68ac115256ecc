/** What a person may do; each includes those before it. */
export type Scope = 'read' | 'write' | 'author' | 'admin'

const order: string[] = ['read', 'write', 'author', 'admin'] satisfies Scope[]

/** Whether a scope includes another; those of agents, workers and pings include none of these. */
export function allows(has: string, wanted: Scope): boolean {
  return order.indexOf(has) >= order.indexOf(wanted)
}
