package definition

import (
	"regexp"
	"strconv"
	"time"
)

// word is a default that depends on when a run is made: today, yesterday or now, with an offset.
type word struct {
	name   string
	offset int // negative for earlier
	unit   string
}

var wordText = regexp.MustCompile(`^(today|yesterday|now)(?:([+-])([0-9]{1,6})([dwhms]))?$`)

// readWord reads a word; ok says whether the text is one. Hours, minutes and seconds are for now.
func readWord(text string) (w word, ok bool) {
	parts := wordText.FindStringSubmatch(text)
	if parts == nil {
		return w, false
	}
	w = word{name: parts[1], unit: parts[4]}
	if parts[3] != "" {
		w.offset, _ = strconv.Atoi(parts[3]) // digits only
	}
	if parts[2] == "-" {
		w.offset = -w.offset
	}
	return w, w.name == "now" || w.unit == "" || w.unit == "d" || w.unit == "w"
}

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
