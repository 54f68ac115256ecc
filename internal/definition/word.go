package definition

import (
	"strconv"
	"strings"
	"time"
)

// word is a default that depends on when a run is made: today, yesterday or now, with an offset.
type word struct {
	name   string
	offset int // negative for earlier
	unit   string
}

// maxOffset is the most digits of an offset.
const maxOffset = 6

// readWord reads a word; ok reports whether the text is one. Hours, minutes and seconds are for now.
func readWord(text string) (w word, ok bool) {
	for _, w.name = range []string{"today", "yesterday", "now"} {
		rest, found := strings.CutPrefix(text, w.name)
		if !found {
			continue
		}
		if rest == "" {
			return w, true
		}
		last := len(rest) - 1
		if sign := rest[0]; last < 2 || last-1 > maxOffset || sign != '+' && sign != '-' || !isDigits(rest[1:last]) {
			return w, false
		}
		w.unit = rest[last:]
		w.offset, _ = strconv.Atoi(rest[:last]) // a sign and digits
		units := "dw"
		if w.name == "now" {
			units += "hms"
		}
		return w, strings.Contains(units, w.unit)
	}
	return word{}, false
}

// isDigits reports whether a text is one or more digits.
func isDigits(text string) bool { return text != "" && strings.Trim(text, digits) == "" }

// at is the word at a time of a zone. Days are those of the calendar: a day of 23 hours is one.
func (w word) at(at time.Time) (value, why string) {
	days := 0
	switch w.unit {
	case "d":
		days = w.offset
	case "w":
		days = 7 * w.offset
	case "h":
		at = at.Add(time.Duration(w.offset) * time.Hour)
	case "m":
		at = at.Add(time.Duration(w.offset) * time.Minute)
	case "s":
		at = at.Add(time.Duration(w.offset) * time.Second)
	}
	format := time.RFC3339
	if w.name != "now" {
		year, month, day := at.Date()
		at, format = time.Date(year, month, day, 0, 0, 0, 0, time.UTC), time.DateOnly
	}
	if w.name == "yesterday" {
		days--
	}
	at = at.AddDate(0, 0, days)
	if at.Year() < 1 || at.Year() > 9999 {
		return "", "it is not between the years 1 and 9999"
	}
	return at.Format(format), ""
}
