package notify

import (
	"fmt"
	"path"
	"slices"

	"stint.dev/stint/internal/notify/message"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Takes reports whether a notification matches a route. run is nil for one about the server, and about a job that has
// no run, whose labels are not known.
func Takes(r api.Route, a api.Action, run *job.Run) bool {
	m := r.Match
	if !r.Enabled || !takesEvent(m.Events, a) || !isSevereEnough(m.Severity, a.Severity) {
		return false
	}
	name, labels := a.Job, map[string]string(nil)
	if run != nil {
		name, labels = run.Job, run.Labels
	}
	if m.Job != "" {
		if ok, err := path.Match(m.Job, name); err != nil || !ok || name == "" {
			return false
		}
	}
	for k, v := range m.Labels {
		if got, has := labels[k]; !has || got != v {
			return false
		}
	}
	return true
}

// takesEvent reports whether a notification matches the events of a route.
func takesEvent(events []string, a api.Action) bool {
	if len(events) == 0 {
		return message.CompareSeverity(a.Severity, job.Warning) >= 0
	}
	if slices.Contains(events, a.What) {
		return true
	}
	// The end of a problem belongs to the problem, and the first success after failures is a success.
	switch a.What {
	case outbox.WhatHealed:
		return slices.Contains(events, outbox.WhatLost)
	case outbox.WhatRecovered:
		if a.Ends != "" {
			return slices.Contains(events, a.Ends)
		}
		return slices.Contains(events, outbox.WhatSucceeded)
	}
	return false
}

// isSevereEnough reports whether a severity is at least the lowest one of a route. What is no problem always is,
// because only routes that name its event take it.
func isSevereEnough(lowest, is job.Health) bool {
	return is == outbox.Info || message.CompareSeverity(is, lowest) >= 0
}

// routesOf returns the names of the routes that match a cause, or the reason why none does.
func routesOf(all []outbox.Delivery, a api.Action, run *job.Run) (names []string, why string) {
	for _, d := range all {
		if Takes(d.Route, a, run) {
			names = append(names, d.Route.Name)
		}
	}
	switch {
	case len(names) > 0:
		return names, ""
	case len(all) == 0:
		return nil, "there are no routes"
	}
	return nil, fmt.Sprintf("none of %d routes matches", len(all))
}
