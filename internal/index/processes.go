package index

import (
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// stoppedProcesses takes what a note says of processes before a stop. What is beyond the limits of a
// run is counted.
func (f *folder) stoppedProcesses(p journal.Note) {
	if len(p.Processes) == 0 && p.NotDescribed <= 0 {
		return
	}
	v := &f.State.View
	if v.StoppedProcesses == nil {
		v.StoppedProcesses = &job.StoppedProcesses{Processes: []job.StoppedProcess{}, Notes: []int{}}
	}
	s := v.StoppedProcesses
	more := min(max(p.NotDescribed, 0), maxNotDescribed)
	for _, one := range p.Processes {
		if len(s.Processes) == maxStoppedProcesses {
			more++
			continue
		}
		kept := job.StoppedProcess{PID: one.PID, Parent: one.Parent, Name: CleanText(one.Name, maxProcessName), Facts: []string{}}
		room := maxProcessText
		for _, fact := range one.Facts[:min(len(one.Facts), maxProcessFacts)] {
			fact = CleanText(fact, max(room, len("…")))
			room -= len(fact)
			kept.Facts = append(kept.Facts, fact)
		}
		s.Processes = append(s.Processes, kept)
	}
	s.NotDescribed = min(s.NotDescribed+more, maxNotDescribed)
	if n := len(v.Notes); n < maxNotes-1 { // the last one may give way to the count of further notes
		s.Notes = append(s.Notes, n)
	}
}
