package queue

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/job"
)

// Facts are what is known of a run that waits.
type Facts struct {
	Held      string // why
	After     []Needed
	NotBefore *time.Time
	Paused    *Pause
	Group     *Group // nil for none, or one without a limit
	Selector  Selector
	Supply    *Supply // nil if the workers are not known
	Ahead     int64   // runs that come first
	// Usual is how long runs of the job usually take; 0 if that is not known.
	Usual time.Duration
}

// Pause says who paused the definition of a job, and why.
type Pause struct{ By, Why string }

// Needed is a run that has to end first.
type Needed struct {
	Name      string // as job#number
	State     job.State
	When      string
	EndsAbout *time.Time // nil if nothing is known
	// HeldUntil is until when a run keeps its place in a group because its attempt was lost and may live; nil for
	// one whose attempt reports.
	HeldUntil *time.Time
}

// Group is the limit of the group of a run and how much of it is in use.
type Group struct {
	Name          string
	Limit, Active int64
	Holders       []Needed // some of the runs that have the places
}

// Explain returns the gates that are closed for a run, and about when it starts; nil if nothing is known
// of that.
func Explain(f Facts, now time.Time) (gates []job.Gate, start *time.Time) {
	add := func(gate string, at *time.Time, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		gates = append(gates, job.Gate{Gate: gate, Text: text, OpensAt: at, SentenceTimes: job.TimesIn(now, text)})
	}
	if f.Held != "" {
		add(job.GateHeld, nil, "A person must release it: %s.", f.Held)
	}
	for _, n := range f.After {
		add(job.GateAfter, n.EndsAbout, "Waits until %s has %s; it is %s.", n.Name, n.When, n.State)
	}
	if f.NotBefore != nil && f.NotBefore.After(now) {
		add(job.GateNotBefore, f.NotBefore, "May start at %s.", job.TimeText(*f.NotBefore))
	}
	if f.Paused != nil {
		add(job.GatePaused, nil, "The job is paused%s.", pausedBy(f.Paused))
	}
	if g := f.Group; g != nil && g.Active >= g.Limit {
		add(job.GateGroup, placeFree(f, now), "The group %s has %d of %d places taken%s.", g.Name, g.Active, g.Limit, holders(g.Holders))
	}
	if s := f.Supply; s != nil {
		switch s.Gate() {
		case NoWorker:
			add(job.GateNoWorker, nil, "%s", Unable(*s, f.Selector))
		case Apart:
			add(job.GateWithheld, firstOffered(s.Withheld), "%s", withheldText(s.Withheld))
		case NoSlot:
			text := fmt.Sprintf("%d of %d workers could take it, and all of their %d slots are in use.", s.Matching-len(s.Withheld), s.Workers, s.Slots)
			add(job.GateNoSlot, slotFree(f, now), "%s", strings.TrimSuffix(text+" "+withheldText(s.Withheld), " "))
		}
	}
	if len(gates) == 0 && f.Ahead > 0 {
		add(job.GateTurn, slotFree(f, now), "%d runs come first.", f.Ahead)
	}
	return gates, latest(gates, now)
}

// mostWithheld is how many workers an explanation names that are not offered a run.
const mostWithheld = 3

func withheldText(all []Withheld) string {
	var texts []string
	for _, w := range all[:min(len(all), mostWithheld)] {
		texts = append(texts, w.Text())
	}
	if more := len(all) - mostWithheld; more > 0 {
		texts = append(texts, fmt.Sprintf("So are %d other workers.", more))
	}
	return strings.Join(texts, " ")
}

// firstOffered returns when the first worker is offered the run again.
func firstOffered(all []Withheld) *time.Time {
	first := slices.MinFunc(all, func(a, b Withheld) int { return a.Until.Compare(b.Until) }).Until
	return &first
}

// latest returns when the last gate opens; nil if that is not known of one.
func latest(gates []job.Gate, now time.Time) *time.Time {
	for _, g := range gates {
		if g.OpensAt == nil {
			return nil
		}
		if g.OpensAt.After(now) {
			now = *g.OpensAt
		}
	}
	return &now
}

func pausedBy(p *Pause) string {
	text := ""
	if p.By != "" {
		text = " by " + p.By
	}
	if p.Why != "" {
		text += ": " + p.Why
	}
	return text
}

func holders(all []Needed) string {
	if len(all) == 0 {
		return ""
	}
	var names []string
	for _, one := range all {
		if one.HeldUntil != nil {
			one.Name += fmt.Sprintf(" (lost, may be alive, keeps its place until %s)", job.TimeText(*one.HeldUntil))
		}
		names = append(names, one.Name)
	}
	return ", by " + strings.Join(names, ", ")
}

// wanted says what a run asks of a worker. most is the memory of the largest worker that would match if it had enough; 0 if
// there is none.
func wanted(s Selector, most int64) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(s.Requires)) {
		all = append(all, key+"="+s.Requires[key])
	}
	if s.Command {
		all = append(all, "--allow-commands")
	}
	if s.Memory > 0 {
		all = append(all, job.Bytes(s.Memory)+" of memory")
	}
	if len(all) == 0 {
		return ""
	}
	text := "; it needs " + strings.Join(all, " ")
	if most > 0 {
		text += fmt.Sprintf(", and the largest of them has %s", job.Bytes(most))
	}
	return text
}

// almost says which workers lack one thing only that is not in wanted.
func almost(s Supply) (text string) {
	if s.OtherSpec > 0 {
		text += fmt.Sprintf("; %d would, with another version of stint", s.OtherSpec)
	}
	if s.OtherJob > 0 {
		text += fmt.Sprintf("; %d would if allowed to take the job (--allow)", s.OtherJob)
	}
	return text
}

// Unable returns the sentence that says why no worker can take a run.
func Unable(s Supply, of Selector) string {
	return noWorker(s.Workers) + wanted(of, s.Memory) + almost(s) + "."
}

// noWorker returns why none of so many workers can take a run, as the beginning of a sentence.
func noWorker(workers int) string {
	switch workers {
	case 0:
		return "No worker is connected"
	case 1:
		return "The only worker cannot take it"
	}
	return fmt.Sprintf("None of the %d workers can take it", workers)
}

// placeFree estimates when a place of the group is free for a run: when the first of the active runs ends,
// and those before it have had their turns.
func placeFree(f Facts, now time.Time) *time.Time {
	var first *time.Time
	for _, h := range f.Group.Holders {
		if h.EndsAbout != nil && (first == nil || h.EndsAbout.Before(*first)) {
			first = h.EndsAbout
		}
	}
	if first == nil || f.Group.Limit <= 0 || f.Ahead > 0 && f.Usual == 0 {
		return nil
	}
	at := later(*first, now).Add(time.Duration(float64(f.Usual) * float64(f.Ahead) / float64(f.Group.Limit)))
	return &at
}

// slotFree estimates when a slot is free for a run, as if all runs took as long as those of its job.
func slotFree(f Facts, now time.Time) *time.Time {
	if f.Usual == 0 || f.Supply == nil || f.Supply.Slots <= 0 {
		return nil
	}
	at := now.Add(time.Duration(float64(f.Usual) * float64(f.Ahead+1) / float64(f.Supply.Slots)))
	return &at
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
