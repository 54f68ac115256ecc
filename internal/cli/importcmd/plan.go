package importcmd

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"

	"stint.dev/stint/internal/due"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// action is what becomes of a check.
type action string

const (
	created   action = "created"
	changed   action = "changed"
	unchanged action = "unchanged"
	leftOut   action = "left_out"
)

// step is a check, and the job that is expected for it.
type step struct {
	UUID        string            `json:"uuid"`
	Name        string            `json:"name"`
	Job         string            `json:"job"`
	Slug        string            `json:"slug"`
	Action      action            `json:"action"`
	Expectation job.Expectation   `json:"expectation"`
	Paused      bool              `json:"paused"`
	PostOnly    bool              `json:"post_only"`
	Labels      map[string]string `json:"labels"`
	LeftOut     []string          `json:"left_out"` // sentences: why there is no expectation, and what else is left out
	pause       bool              // the expectation is to be paused
}

// label names the check in messages.
func (s step) label() string { return cmp.Or(s.Name, s.UUID) }

// plan decides what is expected for checks. have are the expectations of jobs, by job, as they are.
func plan(checks []check, have map[string]api.JobDue) []step {
	checks = slices.Clone(checks)
	slices.SortFunc(checks, func(a, b check) int { return strings.Compare(a.UUID, b.UUID) })
	byUUID := map[string]string{} // jobs that have been imported
	for name, d := range have {
		byUUID[path.Base(d.PingURL)] = name
	}
	taken := map[string]bool{} // jobs of checks of this project
	for _, c := range checks {
		if name := byUUID[c.UUID]; name != "" {
			taken[name] = true
		}
	}
	all := []step{}
	for _, c := range checks {
		name, known := byUUID[c.UUID]
		if !known {
			name = jobName(c)
			if taken[name] {
				name = withUUID(name, c.UUID)
			}
			taken[name] = true
		}
		all = append(all, stepOf(c, name, known, have))
	}
	slices.SortStableFunc(all, func(a, b step) int { return strings.Compare(a.Job, b.Job) })
	return all
}

// stepOf decides what is expected for a check whose job has a name. known says that the job was made for the check.
func stepOf(c check, name string, known bool, have map[string]api.JobDue) step {
	s := step{UUID: c.UUID, Name: c.Name, Job: name, Slug: c.Slug, Paused: c.Status == "paused", PostOnly: c.Methods == "POST"}
	labels, notes := labelsOf(c.Tags)
	s.Labels, s.LeftOut = labels, append(notes, notKept(c)...)
	s.Expectation = job.Expectation{EverySeconds: c.Timeout, GraceSeconds: c.Grace}
	if c.Schedule != "" {
		s.Expectation = job.Expectation{Cron: c.Schedule, Zone: cmp.Or(c.Zone, "UTC"), GraceSeconds: c.Grace}
	}
	leaveOut := func(format string, args ...any) step {
		s.Action, s.LeftOut = leftOut, []string{"left out: " + fmt.Sprintf(format, args...)}
		return s
	}
	if _, err := due.CanonicalUUID(c.UUID); err != nil {
		return leaveOut("%v", err)
	}
	if c.Slug != "" {
		if err := due.CheckSlug(c.Slug); err != nil {
			return leaveOut("%v", err)
		}
	}
	if _, err := due.Parse(s.Expectation); err != nil {
		if c.Schedule != "" {
			return leaveOut("its schedule is no single crontab expression; OnCalendar expressions and several lines are not known: %v", err)
		}
		return leaveOut("%v", err)
	}
	now, exists := have[name]
	switch {
	case exists && !known:
		return leaveOut("job %s has an expectation of its own; delete that with stint job due --off, or rename the check there", job.Quote(name))
	case !exists:
		s.Action = created
	case now.Expectation != s.Expectation || now.Slug != cmp.Or(c.Slug, name) || now.PostOnly != s.PostOnly || !maps.Equal(now.Labels, s.Labels):
		s.Action = changed
	default:
		s.Action = unchanged
	}
	isPaused := exists && now.State == api.DuePaused
	if s.pause = s.Paused && !isPaused; s.pause && s.Action == unchanged {
		s.Action = changed
	}
	if !s.Paused && isPaused {
		s.LeftOut = append(s.LeftOut, "it is paused here and not there; it stays paused until stint job due --resume")
		s.Paused = true
	}
	return s
}

// labelsOf returns the labels that the tags of a check become, and says which tags become none: key=value and key:value
// are a label, and any other tag is a label with the value true.
func labelsOf(tags string) (labels map[string]string, notes []string) {
	labels, notes = map[string]string{}, []string{}
	leaveOut := func(tag, format string, args ...any) {
		notes = append(notes, fmt.Sprintf("its tag %s is left out: %s", job.Quote(tag), fmt.Sprintf(format, args...)))
	}
	for _, tag := range strings.Fields(tags) {
		key, value, ok := strings.Cut(tag, "=")
		if !ok {
			key, value, ok = strings.Cut(tag, ":")
		}
		if !ok {
			value = "true"
		}
		had, twice := labels[key]
		switch err := job.CheckLabel(key, value); {
		case err != nil:
			leaveOut(tag, "%v", err)
		case twice && had != value:
			leaveOut(tag, "another one gives the label %s the value %s", key, job.Quote(had))
		case !twice && len(labels) == due.MaxLabels:
			leaveOut(tag, "there are %d labels already", due.MaxLabels)
		default:
			labels[key] = value
		}
	}
	return labels, notes
}

// notKept returns what a check has and an expectation has not.
func notKept(c check) []string {
	notes := []string{}
	note := func(has bool, format string, args ...any) {
		if has {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	note(c.Desc != "", "its description is left out")
	note(c.Channels != "", "its %d channels are left out", len(strings.Split(c.Channels, ",")))
	note(c.FilterSubject || c.FilterBody || c.FilterHTTPBody || c.FilterDefaultFail || c.Subject+c.SubjectFail+c.StartKeywords+c.SuccessKeywords+c.FailureKeywords != "",
		"its filters and keywords are left out: what a ping reports is in its address only")
	note(c.Methods != "" && c.Methods != "POST", "its methods are left out (%s)", c.Methods)
	note(c.Status == "paused" && !c.ManualResume, "a ping does not end its pause here: stint job due --resume does")
	return notes
}

// jobName returns the name of the job for a check: its own, else its slug, else the beginning of its UUID. What the name of
// a job may not have becomes a hyphen.
func jobName(c check) string {
	clean := func(r rune) rune {
		if strings.ContainsRune(`#/\`, r) || !unicode.IsPrint(r) {
			return '-'
		}
		return r
	}
	name := strings.TrimSpace(strings.Map(clean, strings.ToValidUTF8(c.Name, "-")))
	for _, name := range []string{name, c.Slug} {
		if job.CheckName(name) == nil {
			return name
		}
	}
	return withUUID("check", c.UUID)
}

// withUUID adds the beginning of a UUID to a name, so that it is another one.
func withUUID(name, uuid string) string {
	const end = 9 // a hyphen and eight digits
	for len(name) > job.MaxNameBytes-end {
		runes := []rune(name)
		name = string(runes[:len(runes)-1])
	}
	return name + "-" + uuid[:min(len(uuid), end-1)]
}
