package segment

import "stint.dev/stint/job"

// Note is what a recovery must know of the tail. It is the content of tail.json.
type Note struct {
	// After is where the output ends that precedes the tail and has no file of the tail:
	// if the journal on the disk ends before that, the tail belongs to nothing any more.
	After int64 `json:"after,omitempty"`
	// Dropped is the number of the newest segment that was dropped, with all before it.
	Dropped int `json:"dropped"`
	// Streams are how much of the streams of the last step has its place, with all commits.
	Streams []StreamNote `json:"streams,omitempty"`
	// Gaps are what was dropped and is not declared yet. Their place follows from Streams.
	Gaps []job.Gap `json:"gaps,omitempty"`
	// Commits are what has got its place, in order.
	Commits []CommitNote `json:"commits,omitempty"`
}

// StreamNote is how much of a stream has its place.
type StreamNote struct {
	Step   int        `json:"step"`
	Stream job.Stream `json:"stream"`
	Bytes  int64      `json:"bytes"`
}

// CommitNote says that at a journal offset there are some records, and behind them a segment
// which may still have its name from the tail.
type CommitNote struct {
	At      int64  `json:"at"`
	After   int64  `json:"after,omitempty"` // as in the note
	Records []byte `json:"records,omitempty"`
	Name    string `json:"name,omitempty"` // empty: there is no such segment
}

// End returns the offset behind the records.
func (c CommitNote) End() int64 { return c.At + int64(len(c.Records)) }

// Note returns the note as it should be now; false when none is needed.
func (t *Tail) Note(p *Placed) (n Note, needed bool) {
	n = Note{After: p.OutputEnd, Dropped: t.dropped, Commits: t.Commits, Streams: p.lastStreams()}
	for _, key := range sorted(t.Gaps) {
		n.Gaps = append(n.Gaps, *t.Gaps[key])
	}
	return n, len(t.Commits) > 0 || len(t.Segments) > 0 || len(n.Gaps) > 0 || len(t.Discarded) > 0
}

// Restore sets the tail as a note of a dead agent has it, without segments.
func (t *Tail) Restore(n Note, p *Placed) {
	t.dropped, t.NoteStale = n.Dropped, t.HasNote
	for _, g := range n.Gaps {
		t.Gaps[Stream{g.Step, g.Stream}] = &g
		t.GapCount++
	}
	for _, s := range n.Streams {
		p.Streams[Stream{s.Step, s.Stream}] = s.Bytes
	}
}

// lastStreams notes how much of the streams of the last step has its place. A tail is of one
// step, for it is empty when the next begins.
func (p *Placed) lastStreams() (all []StreamNote) {
	keys := sorted(p.Streams)
	for _, key := range keys {
		if key.Step == keys[len(keys)-1].Step {
			all = append(all, StreamNote{key.Step, key.Stream, p.Streams[key]})
		}
	}
	return all
}
