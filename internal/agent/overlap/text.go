package overlap

import "fmt"

// clock is how times are shown to a person on this host.
const clock = "2006-01-02 15:04:05 -07:00"

// name returns how a run is named that has a ticket.
func (h Holder) name() string {
	if h.Run == "" {
		return "another run"
	}
	if h.Number > 0 {
		return fmt.Sprintf("run %s (%s#%d)", h.Run, h.Job, h.Number)
	}
	return "run " + h.Run
}

// state returns since when a run is at work, or waits.
func (h Holder) state() string {
	switch {
	case h.Run == "":
		return "is going on"
	case h.Since == nil:
		return fmt.Sprintf("has waited to start since %s (pid %d)", h.Asked.Local().Format(clock), h.PID)
	}
	return fmt.Sprintf("has been running since %s (pid %d)", h.Since.Local().Format(clock), h.PID)
}

func (c Config) skippedText(h Holder) string {
	return fmt.Sprintf("job %s was not started (--overlap skip): %s %s", c.Job, h.name(), h.state())
}

func (c Config) fullText(ahead []Holder) string {
	return fmt.Sprintf("job %s was not started (--overlap queue): %d starts of it wait already for %s, which %s", c.Job, len(ahead)-1, ahead[0].name(), ahead[0].state())
}

func (c Config) nestedText(h Holder) string {
	return fmt.Sprintf("--overlap %s: job %s is started inside of its own %s, which has the lock until it ends; give the inner one another name with --job, or leave --overlap out there",
		c.Mode, c.Job, h.name())
}

func (c Config) waitsText(ahead []Holder) string {
	text := fmt.Sprintf("job %s waits (--overlap queue): %s %s", c.Job, ahead[0].name(), ahead[0].state())
	switch n := len(ahead) - 1; n {
	case 0:
	case 1:
		text += ", and another start waits before this one"
	default:
		text += fmt.Sprintf(", and %d others wait before this one", n)
	}
	return text
}

// isInside reports whether this start was made by the job of a run, directly or not.
func (c Config) isInside(h Holder) bool {
	if h.Run != "" && h.Run == c.OuterRun {
		return true
	}
	return h.PID > 0 && h.StartedTicks > 0 && h.Host.Is(c.Host) && isAncestor(h.PID, h.StartedTicks)
}
