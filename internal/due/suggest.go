package due

import (
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/job"
)

// What is needed for a suggestion. A wrong one would wake people, so the history must leave little doubt.
const (
	// MostStarts is how many of the last starts are looked at: those of two days of a job of each minute.
	MostStarts = 3000
	// within is how much later than its time a run of a crontab starts at most.
	startsWithin = 30 * time.Minute
	// mostOthers is the share of starts that belong to no due time, such as those by hand.
	mostOthers = 4 // a quarter
	// mostMissed is the share of due times without a start.
	mostMissed = 10 // a tenth
	// Shortest history for an interval.
	leastIntervals = 12
	leastSpan      = 48 * time.Hour
)

// Suggestion is an expectation that fits the history of a job.
type Suggestion struct {
	job.Expectation
	// Off is by how much starts differ from it, and Starts how many fit it.
	Off    time.Duration
	Starts int
	When   string // in words: each day at 03:00
}

// series is a kind of crontab expression.
type series struct {
	days    func(time.Weekday) bool
	cron    string // of the minute and the hour
	when    string // of the time of day
	least   int    // how many due times need a start
	history time.Duration
}

// seriesOf returns the kinds of crontab expressions that are tried, the most frequent first. last is the weekday of the
// last start. The least numbers span a weekend, so that a job of each working day is not taken for one of each day.
func seriesOf(last time.Weekday) []series {
	const day = 24 * time.Hour
	workday := func(d time.Weekday) bool { return d != time.Saturday && d != time.Sunday }
	return []series{
		{func(time.Weekday) bool { return true }, "%d %d * * *", "each day at %s", 8, 30 * day},
		{workday, "%d %d * * 1-5", "from Monday to Friday at %s", 8, 30 * day},
		{func(d time.Weekday) bool { return d == last }, fmt.Sprintf("%%d %%d * * %d", last), "each " + last.String() + " at %s", 4, 90 * day},
	}
}

// Suggest returns the expectation that the starts of a job fit, the first one first; nil if they fit none. zones are those
// in which its crontab may be, the likeliest first.
func Suggest(starts []time.Time, zones []*time.Location, now time.Time) *Suggestion {
	starts = slices.DeleteFunc(slices.Clone(starts), func(at time.Time) bool { return at.After(now) })
	if len(starts) == 0 {
		return nil
	}
	for k := range seriesOf(0) {
		for _, zone := range zones {
			one := seriesOf(starts[len(starts)-1].In(zone).Weekday())[k]
			if s := one.fit(since(starts, now.Add(-one.history)), zone, now); s != nil {
				return s
			}
		}
	}
	return interval(since(starts, now.Add(-14*24*time.Hour)), now)
}

// since returns the starts from a time on.
func since(starts []time.Time, from time.Time) []time.Time {
	at, _ := slices.BinarySearchFunc(starts, from, time.Time.Compare)
	return starts[at:]
}

// fit returns the suggestion for starts at one time of the days of the series; nil if they are not that.
func (s series) fit(starts []time.Time, zone *time.Location, now time.Time) *Suggestion {
	first, n := densest(starts, zone)
	if n < s.least || (len(starts)-n)*mostOthers > len(starts) {
		return nil
	}
	minute := int((first + 5*time.Second) / time.Minute) // by a clock that is a little ahead, too
	e := job.Expectation{Cron: fmt.Sprintf(s.cron, minute%60, minute/60%24), Zone: zone.String()}
	times, err := schedule.Parse(e.Cron)
	if err != nil {
		return nil
	}
	kept, missed, missedLately := 0, 0, 0
	var off time.Duration
	begin := starts[0].Add(-2 * mostEarly)
	for due := times.Next(begin, zone); !due.IsZero() && !due.Add(startsWithin).After(now); due = times.Next(due, zone) {
		at := since(starts, due.Add(-mostEarly))
		if len(at) == 0 || !at[0].Before(due.Add(startsWithin)) {
			missed, missedLately = missed+1, missedLately+1
			continue
		}
		kept, missedLately, off = kept+1, 0, max(off, at[0].Sub(due).Abs())
	}
	if kept < s.least || missed*mostMissed > kept+missed || missedLately > 0 || (len(starts)-kept)*mostOthers > len(starts) {
		return nil
	}
	e.GraceSeconds = int64(max(DefaultGrace, upToMinutes(2*off)) / time.Second)
	return &Suggestion{Expectation: e, Off: upToMinutes(off), Starts: kept, When: fmt.Sprintf(s.when, fmt.Sprintf("%02d:%02d", minute/60%24, minute%60))}
}

// densest returns the local time of day at which the startsWithin begin that most starts are in, and how many are.
func densest(starts []time.Time, zone *time.Location) (begin time.Duration, n int) {
	const day = 24 * time.Hour
	offsets := make([]time.Duration, 0, 2*len(starts))
	for _, at := range starts {
		local := at.In(zone)
		hour, minute, second := local.Clock()
		offsets = append(offsets, time.Duration(hour)*time.Hour+time.Duration(minute)*time.Minute+time.Duration(second)*time.Second)
	}
	slices.Sort(offsets)
	for _, one := range offsets[:len(starts)] { // midnight ends no span
		offsets = append(offsets, one+day)
	}
	end := 0
	for i := range starts {
		for end < len(offsets) && offsets[end]-offsets[i] < startsWithin-time.Minute {
			end++
		}
		if end-i > n {
			begin, n = offsets[i], end-i
		}
	}
	return begin, n
}

// interval returns the suggestion for starts that follow each other after equal times; nil if they do not.
func interval(starts []time.Time, now time.Time) *Suggestion {
	if len(starts) <= leastIntervals || starts[len(starts)-1].Sub(starts[0]) < leastSpan {
		return nil
	}
	var lengths []time.Duration
	for i := 1; i < len(starts); i++ {
		lengths = append(lengths, starts[i].Sub(starts[i-1]))
	}
	sorted := slices.Sorted(slices.Values(lengths))
	every := sorted[len(sorted)/2].Round(time.Minute)
	if every < Shortest || every > 12*time.Hour || now.Sub(starts[len(starts)-1]) > every+every/2 {
		return nil
	}
	others, gaps := 0, 0
	var off time.Duration
	for _, length := range lengths {
		switch d := (length - every).Abs(); {
		case length > 3*every:
			return nil // it pauses, for instance in the night
		case length > every+every/2:
			gaps++
		case d > max(every/10, 15*time.Second):
			others++
		default:
			off = max(off, d)
		}
	}
	if (others+gaps)*mostMissed > len(lengths) || gaps*20 > len(lengths) {
		return nil
	}
	grace := max(Shortest, min(DefaultGrace, every/2), 2*off).Truncate(time.Minute)
	return &Suggestion{
		Expectation: job.Expectation{EverySeconds: int64(every / time.Second), GraceSeconds: int64(grace / time.Second)},
		Off:         upToMinutes(off), Starts: len(lengths) - others - gaps + 1, When: "every " + intervalText(every),
	}
}

// intervalText is a span of whole minutes in words.
func intervalText(d time.Duration) string {
	switch {
	case d == time.Minute:
		return "minute"
	case d == time.Hour:
		return "hour"
	case d%time.Hour == 0:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return fmt.Sprintf("%d minutes", d/time.Minute)
}

// upToMinutes rounds up to whole minutes.
func upToMinutes(d time.Duration) time.Duration {
	return (d + time.Minute - 1).Truncate(time.Minute)
}
