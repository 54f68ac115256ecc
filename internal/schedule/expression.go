// Package schedule computes when something is due: the times of crontab expressions in a time zone.
package schedule

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	cron "github.com/netresearch/go-cron"

	"stint.dev/stint/job"
)

// Expression is a crontab expression: minute, hour, day of the month, month, day of the week. The zero
// value matches no time.
type Expression struct {
	minutes, hours, days, months, weekdays uint64 // bit sets of the values; Sunday is 0
	// either says that a day matches if the day of the month or the day of the week does. As in crontab(5),
	// it is so if neither field begins with a star.
	either bool
}

const everyHour = 1<<24 - 1

// words are the names of expressions, as crontab(5) has them.
var words = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// fields parses the five fields. The package is used for this alone: its own computation of the next time
// doubles what is due in the hour that comes twice, and loses the day whose midnight does not exist.
var fields = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// Parse reads an expression of five fields, or a word such as @daily. The error is *job.InvalidError.
func Parse(text string) (Expression, error) {
	wrong := func(why string) (Expression, error) {
		return Expression{}, &job.InvalidError{What: "cron expression", Value: text, Why: why}
	}
	line := strings.Fields(text)
	if len(line) == 1 {
		if known, ok := words[strings.ToLower(line[0])]; ok {
			line = strings.Fields(known)
		}
	}
	switch {
	case len(line) > 0 && strings.EqualFold(line[0], "@reboot"):
		return wrong("has no time: start the job from a unit or from the crontab of its host")
	case len(line) > 0 && strings.HasPrefix(line[0], "@"):
		return wrong("is not one of @yearly, @monthly, @weekly, @daily, @hourly")
	case len(line) > 0 && strings.Contains(line[0], "TZ="):
		return wrong("must not have a time zone; give the zone by itself")
	case len(line) == 6 || len(line) == 7:
		return wrong(fmt.Sprintf("has %d fields; give five, minute hour day month weekday, without seconds and years", len(line)))
	case len(line) != 5:
		return wrong("must have five fields, minute hour day month weekday, such as 30 2 * * *")
	}
	for i, f := range line {
		if why := mistake(f, i); why != "" {
			return wrong(why)
		}
	}
	parsed, err := fields.Parse(strings.Join(line, " "))
	if err != nil {
		return wrong("is not minute hour day month weekday: " + err.Error())
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return wrong("must have five fields, minute hour day month weekday, such as 30 2 * * *")
	}
	e := Expression{
		minutes: spec.Minute & (1<<60 - 1), hours: spec.Hour & everyHour, days: spec.Dom & (1<<32 - 2), months: spec.Month & (1<<13 - 2),
		weekdays: cron.NormalizeDOW(spec.Dow) & (1<<7 - 1),
		either:   line[2][0] != '*' && line[4][0] != '*',
	}
	if !e.possible() {
		return wrong("matches no date")
	}
	return e, nil
}

// value is what commas separate in a field: * or a value or a range, with a step or not.
type value struct {
	begin, end string // empty for *; end is empty for one value
	step       string
}

// parseValue takes a value of a field apart. ok is false for what is none.
func parseValue(text string) (v value, ok bool) {
	text, step, hasStep := strings.Cut(text, "/")
	if hasStep && !consistsOf(step, "0123456789") {
		return v, false
	}
	if text == "*" {
		return value{step: step}, true
	}
	begin, end, isRange := strings.Cut(text, "-")
	const words = "0123456789abcdefghijklmnopqrstuvwxyz"
	ok = consistsOf(begin, words) && (!isRange || consistsOf(end, words))
	return value{begin, end, step}, ok
}

// consistsOf reports whether a text is not empty and has no other characters, in any case.
func consistsOf(text, characters string) bool {
	return text != "" && strings.Trim(strings.ToLower(text), characters) == ""
}

// last are the greatest values of the fields.
var last = [5]int{59, 23, 31, 12, 7}

// mistake says what is wrong with a field, counted from 0, that the parser accepts without the meaning that
// it seems to have: it takes *-5 for *, 27-0 for no hour and 26-3 for 2-3, and counts eight days between
// two Sundays. The parser itself refuses everything else.
func mistake(field string, i int) string {
	if strings.Contains(field, "?") {
		return fmt.Sprintf("has a ? in field %d; write * for every value", i+1)
	}
	for value := range strings.SplitSeq(field, ",") {
		if value == "" {
			return fmt.Sprintf("has a comma without a value in field %d", i+1)
		}
		v, ok := parseValue(value)
		if !ok {
			return fmt.Sprintf("is not minute hour day month weekday: %q in field %d is not *, a value or a range such as 1-5 or 0-30/10", value, i+1)
		}
		begin, err := strconv.Atoi(v.begin)
		if err == nil && begin > last[i] || errors.Is(err, strconv.ErrRange) {
			return fmt.Sprintf("is not minute hour day month weekday: %q in field %d is above the maximum %d", value, i+1, last[i])
		}
		if i == 4 && v.step != "" && v.end != "" && dayOf(v.begin) > dayOf(v.end) {
			return fmt.Sprintf("has %q in field 5, a range across Sunday with a step; list the days", value)
		}
	}
	return ""
}

// dayOf returns the number of a day of the week that may be written as a word.
func dayOf(day string) int {
	if at := strings.Index("sun mon tue wed thu fri sat", strings.ToLower(day)); len(day) == 3 && at >= 0 {
		return at / 4
	}
	number, _ := strconv.Atoi(day)
	return number
}

// mostDays is how many days a month can have.
var mostDays = [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// possible reports whether any date matches.
func (e Expression) possible() bool {
	if e.either || e.days == 1<<32-2 {
		return true
	}
	for m, most := range mostDays {
		if m > 0 && e.months&(1<<m) != 0 && bits.TrailingZeros64(e.days) <= most {
			return true
		}
	}
	return false
}
