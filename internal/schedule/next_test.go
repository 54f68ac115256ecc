package schedule

import (
	"archive/zip"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"
)

// span is a naive model of a time zone and of expressions: it looks at each minute of a time by itself.
type span struct {
	begin int64   // minutes since 1970, as all that follows
	clock []int64 // what a clock shows in each minute, as the minute at which it would be so in UTC
}

func spanOf(zone *time.Location, begin, end time.Time) *span {
	offset := func(minute int64) int64 {
		_, o := time.Unix(minute*60, 0).In(zone).Zone()
		return int64(o) / 60
	}
	s := &span{begin: begin.Unix() / 60}
	for last := end.Unix() / 60; s.end() < last; {
		from, to := s.end(), min(s.end()+60, last)
		same := offset(from) == offset(to) // no clock changes twice within an hour
		for m, o := from, offset(from); m < to; m++ {
			if !same {
				o = offset(m)
			}
			s.clock = append(s.clock, m+o)
		}
	}
	return s
}

func (s *span) end() int64 { return s.begin + int64(len(s.clock)) }

// matches reports whether five sets of values contain a local time.
func matches(e Expression, minute int64) bool {
	if e.minutes&(1<<(minute%60)) == 0 || e.hours&(1<<(minute/60%24)) == 0 {
		return false
	}
	t := time.Unix(minute*60, 0).UTC()
	day, weekday := e.days&(1<<t.Day()) != 0, e.weekdays&(1<<t.Weekday()) != 0
	return e.months&(1<<t.Month()) != 0 && (day && weekday || e.either && (day || weekday))
}

// due returns the times of an expression after a time of the span, from the rule alone: with all hours,
// each minute that matches; else, for each local minute that matches, when it is shown first, or the first
// minute that is later on the clock.
func (s *span) due(e Expression, from time.Time) []time.Time {
	var due []time.Time
	add := func(i int) {
		if t := time.Unix((s.begin+int64(i))*60, 0).UTC(); t.After(from) && (len(due) == 0 || !due[len(due)-1].Equal(t)) {
			due = append(due, t)
		}
	}
	latest := s.clock[0] // the latest that the clock has shown
	for i, now := range s.clock {
		if e.hours == everyHour {
			if matches(e, now) {
				add(i)
			}
			continue
		}
		for ; latest < now; latest++ { // what the clock passes over or reaches for the first time
			if matches(e, latest+1) {
				add(i)
			}
		}
	}
	return due
}

// times lists what Next says.
func times(e Expression, from, to time.Time, zone *time.Location) []time.Time {
	var due []time.Time
	for t := e.Next(from, zone); !t.IsZero() && t.Before(to); t = e.Next(t, zone) {
		due = append(due, t.UTC())
	}
	return due
}

func compare(t *testing.T, text string, got, want []time.Time, zone *time.Location) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !got[i].Equal(want[i]) {
			at := func(of []time.Time) string {
				if i >= len(of) {
					return "nothing"
				}
				return of[i].In(zone).Format(time.RFC3339)
			}
			t.Fatalf("%q in %s, time %d: got %s, want %s", text, zone, i, at(got), at(want))
		}
	}
}

func parse(t testing.TB, text string) Expression {
	t.Helper()
	e, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func load(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// zoneNames lists the time zones of the zone data of Go.
func zoneNames(t *testing.T) []string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	data, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	var names []string
	for _, f := range data.File {
		if !strings.HasSuffix(f.Name, "/") {
			names = append(names, f.Name)
		}
	}
	if len(names) < 500 {
		t.Fatalf("only %d zones", len(names))
	}
	return names
}

var firstYear, lastYear = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2041, 1, 1, 0, 0, 0, 0, time.UTC)

// changes lists when the clocks of a zone change from 2020 to 2040.
func changes(zone *time.Location) []time.Time {
	offset := func(t time.Time) int {
		_, o := t.In(zone).Zone()
		return o
	}
	const step = 12 * time.Hour
	var at []time.Time
	for t := firstYear; t.Before(lastYear); t = t.Add(step) {
		if offset(t) != offset(t.Add(step)) {
			minute := sort.Search(int(step/time.Minute), func(i int) bool { return offset(t.Add(time.Duration(i)*time.Minute)) != offset(t) })
			at = append(at, t.Add(time.Duration(minute)*time.Minute))
		}
	}
	return at
}

// expressions are those that a change of the clocks can hurt.
var expressions = []string{
	"0 0 * * *", "30 0 * * *", "30 1 * * *", "0 2 * * *", "30 2 * * *", "0 3 * * *", "59 23 * * *", "*/15 * * * *", "0 * * * *",
	"20 */2 * * *", "0,30 1-3 * * *", "* 0-3 * * *", "* 22,23,0 * * 0,6", "0 0 1 * *", "15 1 * 3,4,10,11 5", "30 2 25-31 * 0", "7 0-22 * * *",
}

// Around each change of each zone, an expression is due when a minute by minute search says so.
func TestEachChangeOfEachZone(t *testing.T) {
	var parsed []Expression
	for _, text := range expressions {
		parsed = append(parsed, parse(t, text))
	}
	searched := map[string]bool{} // changes that zones have in common, with the offsets around
	count := 0
	for _, name := range zoneNames(t) {
		zone := load(t, name)
		for _, at := range changes(zone) {
			_, before := at.Add(-time.Second).In(zone).Zone()
			_, after := at.In(zone).Zone()
			key := fmt.Sprint(at, before, after)
			if count++; searched[key] {
				continue
			}
			if searched[key] = true; rand.IntN(eachChange) > 0 {
				continue
			}
			begin := at.Add(-36 * time.Hour).Truncate(time.Minute)
			end := begin.Add(72 * time.Hour)
			s := spanOf(zone, begin.Add(-26*time.Hour), end)
			for i, e := range parsed {
				compare(t, expressions[i], times(e, begin, end, zone), s.due(e, begin), zone)
			}
		}
	}
	t.Logf("%d changes, %d of them different", count, len(searched))
	if count < 8000 || len(searched) < 500 {
		t.Fatalf("%d changes, %d of them different: the zone data are not what they were", count, len(searched))
	}
}

// In twelve zones, each minute of twenty-one years.
func TestEachMinuteOfTwelveZones(t *testing.T) {
	for _, name := range []string{
		"UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Beirut", "America/Santiago",
		"America/Havana", "Africa/Casablanca", "Asia/Kathmandu", "Pacific/Apia", "Europe/Dublin",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone := load(t, name)
			var all []Expression
			texts := []string{"30 2 * * *", "0 * * * *", "0 0 * * *", "*/20 1-3 * * 0,1,5", "0 12 31 * *"}
			for _, text := range texts {
				all = append(all, parse(t, text))
			}
			for _, n := range rand.Perm(21)[:years] {
				year := firstYear.AddDate(n, 0, 0)
				end := year.AddDate(1, 0, 0)
				s := spanOf(zone, year.AddDate(0, 0, -2), end)
				for i, e := range all {
					compare(t, texts[i], times(e, year, end, zone), s.due(e, year), zone)
				}
			}
		})
	}
}

// Random expressions on random days of random zones.
func TestRandomExpressions(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	names := zoneNames(t)
	for range randomEntries {
		text := randomExpression(r)
		e, err := Parse(text)
		if err != nil {
			if strings.Contains(err.Error(), "matches no date") {
				continue
			}
			t.Fatalf("seed %d: %v", seed, err)
		}
		zone := load(t, names[r.IntN(len(names))])
		begin := firstYear.Add(time.Duration(r.Int64N(int64(lastYear.Sub(firstYear))))).Truncate(time.Second)
		if at := changes(zone); len(at) > 0 && r.IntN(2) == 0 {
			begin = at[r.IntN(len(at))].Add(-time.Duration(r.Int64N(int64(30 * time.Hour)))).Truncate(time.Second)
		}
		end := begin.Truncate(time.Minute).Add(60 * time.Hour)
		s := spanOf(zone, begin.Truncate(time.Minute).Add(-26*time.Hour), end)
		compare(t, text, times(e, begin, end, zone), s.due(e, begin), zone)
	}
}

func randomExpression(r *rand.Rand) string {
	field := func(low, high int) string {
		one := func() string { return fmt.Sprint(low + r.IntN(high-low+1)) }
		switch r.IntN(6) {
		case 0, 1:
			return "*"
		case 2:
			return fmt.Sprintf("*/%d", 1+r.IntN(high-low))
		case 3:
			a := low + r.IntN(high-low)
			return fmt.Sprintf("%d-%d", a, a+1+r.IntN(high-a))
		case 4:
			return one() + "," + one() + "," + one()
		default:
			return one()
		}
	}
	return strings.Join([]string{field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)}, " ")
}

// Days on which the clocks change, as people expect them.
func TestDaysOfAChange(t *testing.T) {
	for _, c := range []struct {
		zone, text, from string
		want             []string
	}{
		{"Europe/Berlin", "30 2 * * *", "2026-03-28T12:00", []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"Europe/Berlin", "30 2 * * *", "2026-10-24T12:00", []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"Europe/Berlin", "0 * * * *", "2026-10-25T01:30", []string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"}},
		{"Europe/Berlin", "0 * * * *", "2026-03-29T01:30", []string{"2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"}},
		{"Europe/Berlin", "0,30 2,3 * * *", "2026-03-29T01:30", []string{"2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:00:00+02:00"}},
		{"Africa/Cairo", "0 0 * * *", "2026-04-23T12:00", []string{"2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"}},
		{"Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00", []string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"}},
		{"Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00", []string{"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"}},
		{"UTC", "0 0 29 2 *", "2096-03-01T00:00", []string{"2104-02-29T00:00:00Z"}},
		{"UTC", "0 0 13 * 5", "2026-11-01T00:00", []string{"2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"}},
		{"UTC", "0 0 */2 * 1", "2026-11-01T00:00", []string{"2026-11-09T00:00:00Z", "2026-11-23T00:00:00Z"}},
		{"UTC", "0 0 31 4,5 *", "2026-11-01T00:00", []string{"2027-05-31T00:00:00Z"}},
	} {
		zone := load(t, c.zone)
		at, err := time.ParseInLocation("2006-01-02T15:04", c.from, zone)
		if err != nil {
			t.Fatal(err)
		}
		e := parse(t, c.text)
		for _, want := range c.want {
			if at = e.Next(at, zone); at.Format(time.RFC3339) != want {
				t.Errorf("%q in %s after %s: got %s, want %s", c.text, c.zone, c.from, at.Format(time.RFC3339), want)
				break
			}
		}
	}
}

func TestParse(t *testing.T) {
	for word, text := range words {
		if parse(t, word) != parse(t, text) || parse(t, strings.ToUpper(word)) != parse(t, text) {
			t.Errorf("%s is not %s", word, text)
		}
	}
	for a, b := range map[string]string{
		"0 0 * JAN-MAR mon-fri": "0 0 * 1,2,3 1-5", "0 0 * * 7": "0 0 * * 0", "0 0 * * 5-7": "0 0 * * 0,5,6", "0 22-2 * * *": "0 22,23,0,1,2 * * *",
		"  0\t 0 *  * * ": "0 0 * * *", "0 0-23 * * *": "0 * * * *", "5/20 0 * * *": "5,25,45 0 * * *",
	} {
		if parse(t, a) != parse(t, b) {
			t.Errorf("%q is not %q", a, b)
		}
	}
	for text, why := range map[string]string{
		"":                                 "must have five fields",
		"* * * *":                          "must have five fields",
		"0 30 2 * * *":                     "has 6 fields; give five, minute hour day month weekday, without seconds and years",
		"@reboot":                          "has no time",
		"@every 5m":                        "is not one of",
		"@fortnightly":                     "is not one of",
		"TZ=UTC 0 0 * * *":                 "must not have a time zone",
		"CRON_TZ=Europe/Berlin 0 0 * *":    "must not have a time zone",
		"60 0 * * *":                       "is not minute hour day month weekday",
		"0 24 * * *":                       "is not minute hour day month weekday",
		"0 0 0 * *":                        "is not minute hour day month weekday",
		"0 0 * 13 *":                       "is not minute hour day month weekday",
		"0 0 * * 8":                        "is not minute hour day month weekday",
		"0 0 * * fri#3":                    "is not minute hour day month weekday",
		"0 0 L * *":                        "is not minute hour day month weekday",
		"H 0 * * *":                        "is not minute hour day month weekday",
		"*/0 0 * * *":                      "is not minute hour day month weekday",
		"-1 0 * * *":                       "is not minute hour day month weekday",
		"0 0 ? * *":                        "has a ? in field 3; write * for every value",
		"0 , 1 1 0":                        "has a comma without a value in field 2",
		"0,,5 0 * * *":                     "has a comma without a value in field 1",
		"0 27-0 1 1 0":                     `"27-0" in field 2 is above the maximum 23`,
		"0 26-3 * * *":                     `"26-3" in field 2 is above the maximum 23`,
		"0 4,99999999999999999999-3 * * *": `in field 2 is above the maximum 23`,
		"60-5 * * * *":                     `"60-5" in field 1 is above the maximum 59`,
		"0 0 32-2 * *":                     `"32-2" in field 3 is above the maximum 31`,
		"0 0 * 13-2 *":                     `"13-2" in field 4 is above the maximum 12`,
		"0 0 * * 8-2":                      `"8-2" in field 5 is above the maximum 7`,
		"*-5 0 * * *":                      `"*-5" in field 1 is not *, a value or a range`,
		"0 *-x * * *":                      `"*-x" in field 2 is not *, a value or a range`,
		"+5 0 * * *":                       `"+5" in field 1 is not *, a value or a range`,
		"0 0-0+5 * * *":                    `"0-0+5" in field 2 is not *, a value or a range`,
		"1-2-3 0 * * *":                    `"1-2-3" in field 1 is not *, a value or a range`,
		"*/5/5 0 * * *":                    `"*/5/5" in field 1 is not *, a value or a range`,
		"*/ 0 * * *":                       `"*/" in field 1 is not *, a value or a range`,
		"0 0 * * 5-1/2":                    `has "5-1/2" in field 5, a range across Sunday with a step`,
		"0 0 * * Sat-Mon/2":                `has "Sat-Mon/2" in field 5, a range across Sunday with a step`,
		"0 0 31 2 *":                       "matches no date",
		"0 0 31 4,6,9,11 *":                "matches no date",
		"0 0 * * *; rm":                    "has 6 fields",
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %q", text, err, why)
		}
	}
}

// The zero value is due at no time.
func TestZeroExpression(t *testing.T) {
	if got := (Expression{}).Next(firstYear, time.UTC); !got.IsZero() {
		t.Errorf("due at %s", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range expressions {
		f.Add(text)
	}
	zones := []*time.Location{time.UTC, load(f, "Africa/Cairo"), load(f, "Australia/Lord_Howe")}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		if err != nil {
			return
		}
		for i, bits := range []uint64{e.minutes, e.hours, e.days, e.months, e.weekdays} {
			if bits == 0 {
				t.Fatalf("%q has no value in field %d", text, i+1)
			}
		}
		for _, zone := range zones {
			at := firstYear
			for range 20 {
				next := e.Next(at, zone)
				if !next.After(at) {
					t.Fatalf("%q in %s: %s after %s", text, zone, next, at)
				}
				at = next
			}
		}
	})
}
