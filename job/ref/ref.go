// Package ref reads how people and programs name a run.
package ref

import (
	"slices"
	"strconv"
	"strings"

	"stint.dev/stint/job"
)

// Grammar says in one sentence how a run is named.
const Grammar = "a whole id, JOB#N (JOB#-1 is its last run), the name of a job (its last run), JOB@failed, JOB@running, or 4 or more of the first characters of an id"

// Ref is how a run is named. One text may have several readings: those that are set are tried in the order of
// the fields, and the first by which there is a run holds. "Last" goes by the start of runs.
type Ref struct {
	Text string // as it was written
	ID   string // the whole id
	// Numbered and Number are JOB#N. A negative number counts from the last run, which is -1. There is no other
	// reading then.
	Numbered string
	Number   int64
	Attempt  int // of JOB#N.A; 0 for none
	// Job is the name of a job, whose last run is meant.
	Job string
	// InState and States are JOB@STATE: the last run of the job in one of the states.
	InState string
	States  []job.State
	Prefix  string // the first characters of an id
}

const (
	idLength    = 36
	leastPrefix = 4
)

// Parse reads how a run is named. Its error is *job.InvalidError.
func Parse(text string) (Ref, error) {
	if name, number, found := cutLast(text, "#"); found {
		return parseNumbered(text, name, number)
	}
	r := Ref{Text: text}
	if id := strings.ToLower(text); len(id) <= idLength && strings.Trim(id, "0123456789abcdef-") == "" {
		switch {
		case job.CheckRunID(id) == nil:
			r.ID = id
		case len(id) >= leastPrefix:
			r.Prefix = id
		}
	}
	err := job.CheckName(text)
	if err == nil {
		r.Job = text
	}
	if name, state, found := cutLast(text, "@"); found && job.CheckName(name) == nil {
		if states := statesOf(state); states != nil {
			r.InState, r.States = name, states
		}
	}
	if r.ID == "" && r.Prefix == "" && r.Job == "" && r.InState == "" {
		return Ref{}, invalid(text, "names no run: write "+Grammar)
	}
	return r, nil
}

// parseNumbered reads JOB#N and JOB#N.A.
func parseNumbered(text, name, number string) (Ref, error) {
	if err := job.CheckName(name); err != nil {
		return Ref{}, err
	}
	r := Ref{Text: text, Numbered: name}
	number, attempt, hasAttempt := strings.Cut(number, ".")
	digits := strings.TrimPrefix(number, "-")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n == 0 || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return Ref{}, invalid(text, "wants a number from 1 after the #, as in train#12, or from -1 downwards: train#-1 is the last run")
	}
	r.Number = n
	if hasAttempt {
		r.Attempt, err = strconv.Atoi(attempt)
		if err != nil || r.Attempt < 1 || r.Attempt > job.MaxAttempt || strings.Trim(attempt, "0123456789") != "" {
			return Ref{}, invalid(text, "wants the number of an attempt after the dot, from 1 to "+strconv.Itoa(job.MaxAttempt)+", as in train#12.2")
		}
	}
	return r, nil
}

// statesOf returns the states that a word after the @ means; nil for none.
func statesOf(word string) []job.State {
	switch {
	case word == string(job.Failed):
		return slices.DeleteFunc(job.States(), func(s job.State) bool { return !s.EndedBadly() })
	case word == string(job.Running):
		return slices.DeleteFunc(job.States(), func(s job.State) bool { return !s.Active() })
	case job.State(word).Valid():
		return []job.State{job.State(word)}
	}
	return nil
}

func invalid(text, why string) error {
	return &job.InvalidError{What: "run", Value: text, Why: why}
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
