package console

import (
	"strings"
	"time"

	"stint.dev/stint/job"
)

// LocalTimes returns a sentence of the server with the moments that it names, which are in UTC, in the zone of the terminal,
// as the times of tables are.
func LocalTimes(sentence string, times []job.SentenceTime) string {
	if len(times) == 0 || time.Local == time.UTC {
		return sentence
	}
	var pairs []string
	for _, t := range times {
		layout := "15:04:05 MST"
		if len(t.Text) > len(layout) {
			layout = "2006-01-02 " + layout
		}
		pairs = append(pairs, t.Text, t.At.Local().Format(layout))
	}
	return strings.NewReplacer(pairs...).Replace(sentence)
}
