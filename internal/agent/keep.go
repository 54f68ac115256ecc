package agent

import "stint.dev/stint/internal/agent/process/member"

// keep leaves what the command left behind, because the caller wants that: it is listed,
// not signalled, and from here on nothing of the agent ends it.
func (a *attempt) keep(members []member.Member) {
	a.kept = true
	text := "left running on purpose: " + member.LeftText(members)
	if a.group.LetLive() {
		text += "; they end with the agent, because it is the init of its container"
	}
	a.rec.Note(a.current, text)
}

// holder says who may still hold a stream open when its time is over.
func (a *attempt) holder() string {
	switch {
	case a.kept:
		return "what was left running"
	case a.stop.Abandoned():
		return "what could not be stopped"
	}
	return "a process outside of the run"
}
