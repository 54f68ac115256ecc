package index

import "stint.dev/stint/job"

// WithNotes returns the events of an append with one for each of its notes, before the first event that is later.
func WithNotes(run *job.Run, events []job.RunEvent, notes []Note) []job.RunEvent {
	if len(notes) == 0 {
		return events
	}
	all := make([]job.RunEvent, 0, len(events)+len(notes))
	add := func(n Note) {
		all = append(all, job.RunEvent{
			Run: run.ID, Attempt: run.Attempt, At: n.At.UTC(), Clock: AgentClock, Kind: job.EventNote,
			From: string(run.State), To: string(run.State), Rule: job.EventNote, Evidence: n.Text,
		})
	}
	for _, e := range events {
		for len(notes) > 0 && notes[0].At.Before(e.At) {
			add(notes[0])
			notes = notes[1:]
		}
		all = append(all, e)
	}
	for _, n := range notes {
		add(n)
	}
	return all
}
