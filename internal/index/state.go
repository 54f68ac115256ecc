package index

import (
	"maps"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// The state of an attempt is limited, whatever its journal has, so that the tables stay small. The journal itself keeps
// every byte.
const (
	maxSteps        = 1000
	maxNotes        = 100
	maxGaps         = 200 // more are merged into the last one of their stream
	maxText         = 2000
	maxCommandBytes = 8 << 10
	maxArgsBytes    = 32 << 10
	fullCommands    = 32 // steps whose command is kept up to maxCommandBytes
	maxGPUs         = 64 // of a sample; an agent names no more
	maxGPUName      = 128
	// maxSampleValues is more than the values of a sample of maxGPUs whose names are of commas.
	maxSampleValues = maxGPUs*(maxGPUName+8) + 64

	// Of the processes before a stop; an agent describes no more, and in no more than 16 KiB.
	maxStoppedProcesses = 64
	maxProcessName      = 100
	maxProcessFacts     = 16
	maxProcessText      = 1800 // of all facts
	maxNotDescribed     = 1 << 22
)

// State is the state of an attempt after a prefix of its journal. It has all that Fold needs to continue, so that it can be
// stored between appends.
type State struct {
	Run     string `json:"run"`
	Attempt int    `json:"attempt"`
	// View is the attempt as its journal shows it. Number, Health, Findings, Cancel,
	// CreatedAt, StartAt and LastHeartbeatAt are the server's and stay empty here.
	View job.Run `json:"view"`
	// Header is the journal's header, which no block holds.
	Header []byte `json:"header,omitempty"`
	// Size counts the bytes of the header and the whole records folded so far.
	Size int64 `json:"size"`
	// Skipped counts records of types that this version does not know.
	Skipped int64 `json:"skipped,omitempty"`
	// Ended is true once the outcome was folded; nothing may follow it.
	Ended bool `json:"ended,omitempty"`
	// Digest is the saved state of the journal.Digester.
	Digest []byte `json:"digest,omitempty"`
	// NextLine is the number of the line that begins next.
	NextLine int64    `json:"next_line"`
	Streams  []Stream `json:"streams,omitempty"`
	// Incarnation identifies the process that started the attempt of a submitted run.
	Incarnation string `json:"incarnation,omitempty"`
	// HeartbeatPeriod is the one that the agent was started with; 0 if its identity has none.
	HeartbeatPeriod time.Duration `json:"heartbeat_period_ns,omitempty"`
	// Limits that the attempt was started with, for the judgement of its health.
	Limits Limits `json:"limits,omitzero"`
	// Due is when further runs of the job are expected, as the attempt says; nil if it does not, or it is not valid.
	Due *job.Expectation `json:"due,omitempty"`
	// SpokeAt is when the running step last printed, or began.
	SpokeAt      time.Time `json:"spoke_at,omitzero"`
	DroppedNotes int       `json:"lost_notes,omitempty"`
}

// Stream counts the output of a stream of a step.
type Stream struct {
	Step   int        `json:"step"`
	Stream job.Stream `json:"stream"`
	// Bytes counts what the job printed, gaps included; Kept is without them.
	Bytes int64 `json:"bytes"`
	Kept  int64 `json:"kept"`
	// Line is the number of the line that has not ended; 0 for none. It began in the
	// block that starts at Block.
	Line  int64 `json:"line,omitempty"`
	Block int64 `json:"block,omitempty"`
}

// NewState returns the state of an attempt of which nothing is stored yet.
func NewState(run string, attempt int) State {
	return State{
		Run: run, Attempt: attempt, NextLine: 1,
		View: job.Run{
			ID: run, Attempt: attempt, State: job.Queued,
			Findings: []job.Finding{}, Steps: []job.Step{}, Args: []string{}, Notes: []string{},
			Labels: map[string]string{}, Output: job.Output{Gaps: []job.Gap{}},
		},
	}
}

// Known reports whether the identity has been read, so that View says whose it is.
func (s *State) Known() bool { return s.View.Job != "" }

// clone copies what Fold changes in place, so that a refused append leaves s as it was.
func (s State) clone() State {
	s.View.Steps = slices.Clone(s.View.Steps)
	s.View.Labels = maps.Clone(s.View.Labels)
	s.View.Notes = slices.Clone(s.View.Notes)
	if p := s.View.StoppedProcesses; p != nil {
		copied := *p
		copied.Processes, copied.Notes = slices.Clone(p.Processes), slices.Clone(p.Notes)
		s.View.StoppedProcesses = &copied
	}
	s.View.Output.Gaps = slices.Clone(s.View.Output.Gaps)
	s.Streams = slices.Clone(s.Streams)
	return s
}

// openLines lists the lines that have begun and not ended.
func (s *State) openLines() []OpenLine {
	var open []OpenLine
	for _, st := range s.Streams {
		if st.Line != 0 {
			open = append(open, OpenLine{Step: st.Step, Stream: st.Stream, Line: st.Line, Block: st.Block})
		}
	}
	return open
}

func (s *State) loadDigest() (*journal.Digester, error) {
	d := journal.NewDigester()
	if len(s.Digest) == 0 {
		return d, nil
	}
	return d, d.UnmarshalBinary(s.Digest)
}

// CleanText returns Clean, truncated to at most the given bytes.
func CleanText(s string, most int) string { return Truncate(Clean(s), most) }

// Clean returns a string from outside with replacements for invalid UTF-8 and control characters, which databases and
// terminals cannot handle. It does not truncate, so that a search for the result finds the string.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ' || r == 0x7f:
			return '\uFFFD'
		}
		return r
	}, s)
}

// Truncate returns s with at most the given bytes, cut between characters, and with "…" at its end if it was longer. The
// result is for people: a search for it does not find the string.
func Truncate(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-len("…")], "") + "…"
}
