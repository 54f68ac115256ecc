package notify

import (
	"cmp"
	"fmt"
	"path"
	"slices"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/job"
)

// Takes reports whether a route takes a message about a run; run is nil for one about the
// server.
func Takes(r job.Route, a job.Action, run *job.Run) bool {
	m := r.Match
	if !r.Enabled || !takesEvent(m.Events, a) || !severeEnough(m.Severity, a.Severity) {
		return false
	}
	if run == nil {
		return m.Job == "" && len(m.Labels) == 0
	}
	if m.Job != "" {
		if ok, err := path.Match(m.Job, run.Job); err != nil || !ok {
			return false
		}
	}
	for k, v := range m.Labels {
		if got, has := run.Labels[k]; !has || got != v {
			return false
		}
	}
	return true
}

func takesEvent(events []string, a job.Action) bool {
	if len(events) == 0 {
		return compareSeverity(a.Severity, job.Warning) >= 0
	}
	if slices.Contains(events, a.What) {
		return true
	}
	// That a trouble has passed is part of its story; a success that ends a bad series
	// is a success.
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

// severeEnough holds for what is no trouble: only routes that name it take it.
func severeEnough(least, is job.Health) bool {
	return is == outbox.Info || compareSeverity(is, least) >= 0
}

// compareSeverity compares two severities, of which one that is empty is the least.
func compareSeverity(a, b job.Health) int {
	order := []job.Health{outbox.Info, job.Warning, job.Critical}
	return cmp.Compare(slices.Index(order, a), slices.Index(order, b))
}

// routesOf names the routes that take a cause, or says why there are none.
func routesOf(all []outbox.Delivery, a job.Action, run *job.Run) (names []string, why string) {
	for _, d := range all {
		if Takes(d.Route, a, run) {
			names = append(names, d.Route.Name)
		}
	}
	switch {
	case len(names) > 0:
		return names, ""
	case len(all) == 0:
		return nil, "no route is set"
	}
	return nil, fmt.Sprintf("none of %d routes takes it", len(all))
}
