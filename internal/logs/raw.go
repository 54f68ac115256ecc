package logs

import (
	"context"
	"errors"
	"io"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// WriteRaw writes the bytes that the attempt had printed when view was read, in the order of the journal, of the
// streams that a filter selects.
func WriteRaw(ctx context.Context, store Store, w io.Writer, view job.Run, f Filter) error {
	left := view.Output.Bytes
	c := Cursor{Store: store, Run: view.ID, Attempt: view.Attempt}
	for left > 0 {
		b, ok, err := c.Next(ctx)
		if err != nil || !ok {
			return orShort(err, left)
		}
		if b.From == b.Head.Start {
			left = view.Output.Bytes - b.Head.OutputStart // less than before if blocks were dropped
		}
		err = b.Records(func(rec journal.Record, _ int64) error {
			if rec.Type != journal.TypeOutput {
				return nil
			}
			o, err := journal.DecodeOutput(rec)
			if err != nil {
				return err
			}
			data := o.Data[:min(int64(len(o.Data)), left)]
			left -= int64(len(data))
			if f.Match(o.Step, o.Stream) {
				if _, err := w.Write(data); err != nil {
					return err
				}
			}
			if left == 0 {
				return ErrStop
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func orShort(err error, left int64) error {
	if err == nil && left > 0 {
		return errMissing
	}
	return err
}

// errMissing is the error of a store with less output than it counted.
var errMissing = errors.New("stored blocks end before the output that was counted")

// Span is a range of bytes of the raw log, without To.
type Span struct{ From, To int64 }

// WriteSpan writes a range of the raw log. It reads only blocks in it.
func WriteSpan(ctx context.Context, store Store, w io.Writer, view job.Run, s Span) error {
	if s.From >= s.To {
		return nil
	}
	start := int64(0)
	if s.From > 0 {
		head, err := blockAt(ctx, store, view, s.From)
		if err != nil {
			return err
		}
		start = head.Start
	}
	c := Cursor{Store: store, Run: view.ID, Attempt: view.Attempt, Pos: start}
	at := int64(-1) // the output before the next record
	for at < s.To {
		b, ok, err := c.Next(ctx)
		if err != nil || !ok {
			return orShort(err, s.To-at)
		}
		if at < 0 { // the block may have been merged since it was found
			b.From, at = b.Head.Start, b.Head.OutputStart
		}
		err = b.Records(func(rec journal.Record, _ int64) error {
			if rec.Type != journal.TypeOutput {
				return nil
			}
			o, err := journal.DecodeOutput(rec)
			if err != nil {
				return err
			}
			low, high := max(s.From-at, 0), min(s.To-at, int64(len(o.Data)))
			at += int64(len(o.Data))
			if low < high {
				_, err = w.Write(o.Data[low:high])
			}
			if err == nil && at >= s.To {
				err = ErrStop
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// blockAt returns the block that holds a byte of the output, by a binary search.
func blockAt(ctx context.Context, store Store, view job.Run, output int64) (index.BlockHead, error) {
	var found index.BlockHead
	// The output is shorter than the journal, so the block is not before that offset. Double the bound until
	// it is after the block.
	first := func(from int64) (index.BlockHead, bool, error) {
		heads, err := store.Blocks(ctx, view.ID, view.Attempt, from, 1)
		if err != nil || len(heads) == 0 {
			return index.BlockHead{}, false, err
		}
		return heads[0], true, nil
	}
	low, high := int64(0), int64(1)
	for {
		head, ok, err := first(high)
		if err != nil {
			return found, err
		}
		if !ok || head.OutputStart > output {
			break
		}
		found, low, high = head, high, 2*high
	}
	for high-low > 1 {
		middle := low + (high-low)/2
		head, ok, err := first(middle)
		if err != nil {
			return found, err
		}
		if !ok || head.OutputStart > output {
			high = middle
			continue
		}
		found, low = head, middle
		if head.OutputStart+head.OutputBytes > output {
			break
		}
	}
	return found, nil
}
