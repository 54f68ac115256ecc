package job

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sentences of findings, outcomes, events and messages name a moment by its time of day in UTC, or
// by date and time. They are written by ClockText and TimeText only, so that TimesIn finds them.
const (
	clockLayout = "15:04:05"
	dateLayout  = "2006-01-02 "
	zoneSuffix  = " UTC"
)

// ClockText names a moment by its time of day, for a sentence: 15:04:05 UTC.
func ClockText(t time.Time) string { return t.UTC().Format(clockLayout + zoneSuffix) }

// TimeText names a moment by date and time, for a sentence: 2006-01-02 15:04:05 UTC.
func TimeText(t time.Time) string { return t.UTC().Format(dateLayout + clockLayout + zoneSuffix) }

// DurationText writes a length of time in at most two units: "8 ms", "2.4 s", "3 s", "12 m 40 s", "3 h 5 m", "3 h".
func DurationText(d time.Duration) string {
	switch {
	case d < 0:
		return "0 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(math.Round(d.Seconds()*10)/10, 'f', -1, 64) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return twoUnits(int(d.Seconds()), 60, "m", "s")
	case d < 48*time.Hour:
		return twoUnits(int(d.Minutes()), 60, "h", "m")
	}
	return twoUnits(int(d.Hours()), 24, "d", "h")
}

// twoUnits writes n small units, of which a large one has so many. A small part of zero is left out.
func twoUnits(n, each int, large, small string) string {
	if n%each == 0 {
		return fmt.Sprintf("%d %s", n/each, large)
	}
	return fmt.Sprintf("%d %s %d %s", n/each, large, n%each, small)
}

// SentenceTime is a moment that a sentence names, for a program that shows it in another form.
type SentenceTime struct {
	Text string    `json:"text"` // as it is in the sentence: "15:04:05 UTC", or with the date in front
	At   time.Time `json:"at"`
}

// TimesIn returns the moments that sentences name, each text once. Of a text without a date it is the
// moment that is closest to near.
func TimesIn(near time.Time, sentences ...string) []SentenceTime {
	var found []SentenceTime
	for _, s := range sentences {
		for rest := s; ; {
			before, after, more := strings.Cut(rest, zoneSuffix)
			if !more {
				break
			}
			rest = after
			t, ok := timeBefore(before, near)
			if ok && !slices.ContainsFunc(found, func(f SentenceTime) bool { return f.Text == t.Text }) {
				found = append(found, t)
			}
		}
	}
	return found
}

// timeBefore reads the time, with or without a date, at the end of a text.
func timeBefore(text string, near time.Time) (SentenceTime, bool) {
	if len(text) < len(clockLayout) {
		return SentenceTime{}, false
	}
	clock := text[len(text)-len(clockLayout):]
	of, err := time.Parse(clockLayout, clock)
	if err != nil {
		return SentenceTime{}, false
	}
	if n := len(dateLayout) + len(clockLayout); len(text) >= n {
		dated := text[len(text)-n:]
		if at, err := time.Parse(dateLayout+clockLayout, dated); err == nil {
			return SentenceTime{dated + zoneSuffix, at}, true
		}
	}
	y, m, d := near.UTC().Date()
	at := time.Date(y, m, d, of.Hour(), of.Minute(), of.Second(), 0, time.UTC)
	for _, other := range []time.Time{at.AddDate(0, 0, -1), at.AddDate(0, 0, 1)} {
		if other.Sub(near).Abs() < at.Sub(near).Abs() {
			at = other
		}
	}
	return SentenceTime{clock + zoneSuffix, at}, true
}

// SetDerived sets what readers get and what is computed from other fields: SentenceTimes and
// Cancel.ByPolicy.
func (r *Run) SetDerived() {
	if c := r.Cancel; c != nil && c.ByPolicy != (c.By == PolicyAuthor) {
		derived := *c // the run may share it with others
		derived.ByPolicy = c.By == PolicyAuthor
		r.Cancel = &derived
	}
	near := r.CreatedAt
	switch {
	case r.EndedAt != nil:
		near = *r.EndedAt
	case r.LastHeartbeatAt != nil:
		near = *r.LastHeartbeatAt
	}
	var sentences []string
	for i := range r.Findings {
		sentences = append(sentences, r.Findings[i].Evidence, r.Findings[i].Next)
	}
	if d := r.Diagnosis; d != nil {
		sentences = append(sentences, d.Sentence)
		for i := range d.Causes {
			sentences = append(sentences, d.Causes[i].Evidence)
		}
	}
	if r.Outcome != nil {
		sentences = append(sentences, r.Outcome.Message)
	}
	for i := range r.Steps {
		sentences = append(sentences, r.Steps[i].Message)
	}
	r.SentenceTimes = TimesIn(near, append(sentences, r.Notes...)...)
}
