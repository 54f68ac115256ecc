package intake

import (
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/journal"
)

// appendWork limits the work of one append, in the unit of index.FoldResult, because all other appends
// wait for it. Of larger appends only the beginning is stored, and the reply has the size of the
// journal.
const appendWork = 400_000

// foldParts folds data in parts of about FrameBytes, each of which becomes a block, so that a reader of
// a few lines need not read more. It returns the result for all parts together, and the blocks.
func foldParts(s index.State, data []byte) (whole index.FoldResult, parts []blocks.Block, err error) {
	whole.State = s
	for rest := data; ; {
		part := rest[:min(len(rest), blocks.FrameBytes)]
		f, err := index.FoldLimited(whole.State, part, appendWork-whole.Work)
		if err == nil && f.Head.Size == 0 && len(part) < len(rest) {
			part = rest[:min(len(rest), blocks.FrameBytes+journal.MaxRecord)] // a record longer than the part
			f, err = index.FoldLimited(whole.State, part, appendWork-whole.Work)
		}
		if err != nil {
			return index.FoldResult{}, nil, err
		}
		if f.Head.Size > 0 {
			samples, err := blocks.EncodeSamples(f.Samples)
			if err != nil {
				return index.FoldResult{}, nil, err
			}
			from := f.Head.Start - whole.State.Size
			parts = append(parts, blocks.Block{Head: f.Head, Samples: samples, Data: part[from : from+f.Head.Size]})
		}
		joinFolded(&whole, &f)
		folded := len(part) - f.Tail - f.Left
		rest = rest[folded:]
		switch {
		case whole.Work >= appendWork:
			whole.Left = len(rest)
			return whole, parts, nil
		case len(rest) == f.Tail || folded == 0:
			whole.Tail = len(rest)
			return whole, parts, nil
		}
	}
}

// joinFolded adds the result of the next part of an append.
func joinFolded(whole, f *index.FoldResult) {
	whole.State = f.State
	whole.Work += f.Work
	whole.Samples = append(whole.Samples, f.Samples...)
	whole.Facts = append(whole.Facts, f.Facts...)
	whole.Notes = append(whole.Notes, f.Notes...)
	switch {
	case f.Head.Size == 0:
	case whole.Head.Size == 0:
		whole.Head = f.Head
	default:
		whole.Head = index.JoinHeads(whole.Head, f.Head)
	}
}
