/** Lines from..to, inclusive, that are shown as one slot. */
export interface Fold {
  from: number
  to: number
}

/**
 * Maps lines to slots when some lines are folded. Both count from 1, and a fold takes one slot,
 * at its first line.
 */
export class FoldMap {
  private folds: Fold[]

  constructor(folds: Fold[] = []) {
    this.folds = folds.filter((f) => f.to > f.from).sort((a, b) => a.from - b.from)
  }

  /** The fold that begins at a line. */
  at(line: number): Fold | undefined {
    return this.folds.find((f) => f.from === line)
  }

  /** How many slots there are for so many lines. */
  slots(lines: number): number {
    let hidden = 0
    for (const f of this.folds) if (f.from <= lines) hidden += Math.min(f.to, lines) - f.from
    return lines - hidden
  }

  lineOf(slot: number): number {
    let line = slot
    for (const f of this.folds) {
      if (line <= f.from) break
      line += f.to - f.from
    }
    return line
  }

  slotOf(line: number): number {
    let slot = line
    for (const f of this.folds) {
      if (line <= f.from) break
      slot -= Math.min(line, f.to) - f.from
    }
    return slot
  }
}
