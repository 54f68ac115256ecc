package logs

import (
	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Key identifies a stream of a step.
type Key struct {
	Step   int
	Stream job.Stream
}

// LineScan numbers the lines of an attempt's output, which it reads in the order of the journal. A line belongs to one
// stream of a step and ends with a newline. Lines are numbered in the order of their first bytes.
type LineScan struct {
	next int64 // number of the next line to begin
	open map[Key]openLine
}

type openLine struct {
	n    int64
	want *Line // nil if the line is not in the window
}

// NewLineScan returns a scan that begins at the start of a block.
func NewLineScan(head index.BlockHead) *LineScan {
	s := &LineScan{next: head.FirstLine, open: make(map[Key]openLine, len(head.Open))}
	if s.next < 1 {
		s.next = 1
	}
	for _, o := range head.Open {
		s.open[Key{o.Step, o.Stream}] = openLine{n: o.Line}
	}
	return s
}

// jump continues at a block after a part of the journal that was dropped. It closes lines that ended in that part.
func (s *LineScan) jump(head index.BlockHead, fn func(*Line) error) error {
	fresh := NewLineScan(head)
	for key, line := range s.open {
		if now, open := fresh.open[key]; open && now.n == line.n {
			fresh.open[key] = line
			continue
		}
		if line.want == nil {
			continue
		}
		if err := fn(line.want); err != nil {
			return err
		}
	}
	*s = *fresh
	return nil
}

// Piece is the part of a line in one record.
type Piece struct {
	Number int64
	Begins bool // first byte of the line
	Ends   bool // its newline is the last byte of Data
	Data   []byte
	want   *Line
}

// Output splits the output of a record into pieces. It calls begin for each line that begins, and stores the result with
// the line.
func (s *LineScan) Output(key Key, data []byte, begin func(n int64) *Line, fn func(Piece) error) error {
	for len(data) > 0 {
		line, open := s.open[key]
		p := Piece{Begins: !open}
		if !open {
			line = openLine{n: s.next, want: begin(s.next)}
			s.next++
		}
		p.Number, p.want = line.n, line.want
		p.Data, p.Ends = cutLine(data)
		data = data[len(p.Data):]
		if p.Ends {
			if open {
				delete(s.open, key)
			}
		} else if !open {
			s.open[key] = line
		}
		if err := fn(p); err != nil {
			return err
		}
	}
	return nil
}

// StepEnded closes the lines of a step.
func (s *LineScan) StepEnded(step int, fn func(*Line) error) error {
	for _, stream := range []job.Stream{job.Stdout, job.Stderr} {
		key := Key{step, stream}
		line, open := s.open[key]
		if !open {
			continue
		}
		delete(s.open, key)
		if line.want == nil {
			continue
		}
		if err := fn(line.want); err != nil {
			return err
		}
	}
	return nil
}

// scanner are the callbacks of scanLines. All but begin may be nil.
type scanner struct {
	begin func(key Key, rec journal.Record, n int64) *Line
	piece func(Piece) error
	close func(*Line) error
	other func(journal.Record) error // records that are not output
	limit func(data []byte) []byte   // cuts output that is after the end of the window
	after func() error               // after every record
}

// scanLines reads the records of a block as lines.
func scanLines(b Block, scan *LineScan, on scanner) error {
	return b.Records(func(rec journal.Record, _ int64) error {
		if err := scanRecord(rec, scan, on); err != nil {
			return err
		}
		if on.after != nil {
			return on.after()
		}
		return nil
	})
}

func scanRecord(rec journal.Record, scan *LineScan, on scanner) error {
	switch rec.Type {
	case journal.TypeOutput:
		o, err := journal.DecodeOutput(rec)
		if err != nil {
			return err
		}
		key := Key{o.Step, o.Stream}
		if on.limit != nil {
			o.Data = on.limit(o.Data)
		}
		return scan.Output(key, o.Data, func(n int64) *Line { return on.begin(key, rec, n) }, func(p Piece) error {
			if on.piece == nil {
				return nil
			}
			return on.piece(p)
		})
	case journal.TypeStepEnded:
		var ended journal.StepEnded
		if err := journal.Decode(rec, &ended); err != nil {
			return err
		}
		err := scan.StepEnded(ended.Index, func(l *Line) error {
			if on.close == nil {
				return nil
			}
			return on.close(l)
		})
		if err != nil {
			return err
		}
	}
	if on.other != nil {
		return on.other(rec)
	}
	return nil
}
