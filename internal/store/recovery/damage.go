package recovery

import (
	"context"
	"fmt"
	"slices"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// damage is the damage of a journal of which no agent has a copy any more.
type damage struct {
	blocks        []index.BlockHead
	reasons       []string
	printedBefore []tables.StreamBytes // what each stream had printed where the first of the blocks begins
	readable      []tables.StreamBytes // what each stream printed in all good blocks
	lines         int64                // the number of lines that begin in the blocks
}

func addBytes(all *[]tables.StreamBytes, step int, stream job.Stream, n int64) {
	for i := range *all {
		if b := &(*all)[i]; b.Step == step && b.Stream == stream {
			b.Bytes += n
			return
		}
	}
	*all = append(*all, tables.StreamBytes{Step: step, Stream: stream, Bytes: n})
}

func bytesOf(all []tables.StreamBytes, step int, stream job.Stream) int64 {
	for _, b := range all {
		if b.Step == step && b.Stream == stream {
			return b.Bytes
		}
	}
	return 0
}

// survey reads all blocks of a journal and returns the damaged ones.
func survey(ctx context.Context, s *store.Store, key tables.AttemptKey) (*damage, error) {
	var d damage
	for at := int64(journal.HeaderSize); ; {
		heads, err := s.Blocks(ctx, key.Run, key.Attempt, at, 64)
		if err != nil || len(heads) == 0 {
			return &d, err
		}
		for _, h := range heads {
			at = h.Start + h.Size
			var here []tables.StreamBytes
			err := s.EachOutput(ctx, key, h, func(o journal.Output) { addBytes(&here, o.Step, o.Stream, int64(len(o.Data))) })
			if blocks.IsDamage(err) {
				d.blocks, d.reasons = append(d.blocks, h), append(d.reasons, err.Error())
				d.lines += h.Lines
				continue
			}
			if err != nil {
				return nil, err
			}
			for _, b := range here {
				addBytes(&d.readable, b.Step, b.Stream, b.Bytes)
				if len(d.blocks) == 0 {
					addBytes(&d.printedBefore, b.Step, b.Stream, b.Bytes)
				}
			}
		}
	}
}

// gaps returns what is missing of each stream: all that it printed, as the journal counted it when it
// arrived, less what can be read and what was known to be missing.
func (d *damage) gaps(row *tables.AttemptRow) (gaps []job.Gap) {
	most := -1
	for _, st := range row.Streams {
		missing := st.Kept - bytesOf(d.readable, st.Step, st.Stream)
		if row.Cut != nil {
			for _, g := range slices.Concat(row.Cut.Gaps, row.Cut.Damaged) {
				if g.Step == st.Step && g.Stream == st.Stream {
					missing -= g.Bytes
				}
			}
		}
		if missing <= 0 {
			continue
		}
		gaps = append(gaps, job.Gap{
			Step: st.Step, Stream: st.Stream, Bytes: missing, AtBytes: bytesOf(d.printedBefore, st.Step, st.Stream),
			Reason: index.DamageReason, At: d.blocks[0].FirstAt,
		})
		if most < 0 || missing > gaps[most].Bytes {
			most = len(gaps) - 1
		}
	}
	if most >= 0 {
		gaps[most].Lines = d.lines // their stream is not known
	}
	return gaps
}

// damaged reports the damaged blocks of a journal. A repair declares them as gaps, so that the rest can be read.
func (c *checker) damaged(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow) error {
	d, err := survey(ctx, c.store, key)
	if err != nil || len(d.blocks) == 0 {
		return err
	}
	repaired := ""
	if c.repair {
		gaps := d.gaps(row)
		if err := declareGaps(ctx, c.store, key, d, gaps); err != nil {
			return err
		}
		var bytes int64
		for _, g := range gaps {
			bytes += g.Bytes
		}
		repaired = fmt.Sprintf("declared as a gap of %d bytes of output", bytes)
	}
	for i, h := range d.blocks {
		c.found(Finding{Run: key.Run, Attempt: key.Attempt, At: h.Start, To: h.Start + h.Size, What: d.reasons[i], Repaired: repaired})
	}
	return nil
}

// declareGaps drops damaged blocks, and stores the gaps in the run.
func declareGaps(ctx context.Context, s *store.Store, key tables.AttemptKey, d *damage, gaps []job.Gap) error {
	return s.Write(ctx, db.All, func(t *db.Tx) error {
		run, err := tables.LockRun(ctx, t, key.Run)
		if err != nil {
			return err
		}
		row, err := tables.LockAttempt(ctx, t, key)
		if err != nil {
			return err
		}
		for _, h := range d.blocks {
			if err := s.DropBlockData(ctx, t, key, h.Start, h.Start+h.Size); err != nil {
				return err
			}
		}
		now := tables.Cut{To: journal.HeaderSize}
		if row.Cut != nil {
			now = *row.Cut
		}
		now.Damaged = slices.Concat(now.Damaged, gaps)
		return tables.StoreCut(ctx, t, key, &run, row, &now)
	})
}
