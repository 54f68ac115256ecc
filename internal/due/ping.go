package due

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/job"
)

// Target is what a ping is about: a job with its expectation, and what was reported of it by pings.
type Target struct {
	Job      string
	Rule     Rule
	PostOnly bool              // pings count with the method POST only
	Labels   map[string]string // of the runs that pings make
	// Failed says whether the last ping that became a run reported a failure, and ReportedDay is the day, as
	// DayOf returns it, of the last success that became one; -1 for none.
	Failed      bool
	ReportedDay int64
}

// pulsePeriod is the longest period of a job whose successes without a start may be counted instead of stored
// as runs.
const pulsePeriod = time.Hour

// IsPulse reports whether a success without a start is only counted: the job is expected so often that each as a
// run would hide the others, and it changes nothing. The first success of a day is a run.
func (t Target) IsPulse(now time.Time) bool {
	return t.Rule.IsFrequent(now) && !t.Failed && t.ReportedDay == DayOf(now)
}

// IsFrequent reports whether the time from one due time to the next is at most an hour.
func (r Rule) IsFrequent(now time.Time) bool {
	if r.every > 0 {
		return r.every <= pulsePeriod
	}
	next := r.times.Next(now, r.zone)
	following := r.Following(next)
	return !next.IsZero() && !following.IsZero() && following.Sub(next) <= pulsePeriod
}

// DayOf returns the day of a time in UTC, in days since 1970.
func DayOf(at time.Time) int64 { return at.Unix() / (24 * 60 * 60) }

// Created returns the expectation of a job that a ping has created: one run each day, with an hour of grace.
func Created() job.Expectation { return job.Expectation{EverySeconds: 24 * 60 * 60} }

// CanonicalUUID returns a UUID in lower case. Its error is *job.InvalidError for anything but 32 hexadecimal digits
// with four hyphens.
func CanonicalUUID(text string) (string, error) {
	id := strings.ToLower(text)
	if job.CheckRunID(id) != nil {
		return "", &job.InvalidError{What: "uuid", Value: text[:min(len(text), 50)], Why: "is not a UUID with hyphens"}
	}
	return id, nil
}

// slugSymbols are the characters of slugs besides lower-case letters and digits.
const slugSymbols = "-_."

// CheckSlug returns *job.InvalidError unless a text may be a slug.
func CheckSlug(text string) error {
	for _, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune(slugSymbols, rune(c)) {
			return &job.InvalidError{What: "slug", Value: text[:min(len(text), longestText)], Why: "may have lower-case letters, digits, -, _ and . only"}
		}
	}
	if text == "" || len(text) > longestText {
		return &job.InvalidError{What: "slug", Value: text[:min(len(text), longestText)], Why: "must have 1 to 200 characters"}
	}
	return nil
}

// MaxLabels is the most labels of an expectation: a run by a ping has three more, by which its wire is known.
const MaxLabels = job.MaxLabels - 3

// CheckLabels returns *job.InvalidError unless an expectation may have the labels. The first label in the order of keys
// is named that it may not have.
func CheckLabels(labels map[string]string) error {
	if len(labels) > MaxLabels {
		return &job.InvalidError{What: "labels", Value: strconv.Itoa(len(labels)), Why: fmt.Sprintf("are more than %d", MaxLabels)}
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		var invalid *job.InvalidError
		if errors.As(job.CheckLabel(key, labels[key]), &invalid) {
			invalid.What = "labels, at " + job.Quote(key) + ": " + invalid.What
			return invalid
		}
	}
	return nil
}
