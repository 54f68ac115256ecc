package health

import (
	"fmt"
	"time"
)

func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

// span is a duration for a person, to three figures at most.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + span(-d)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.3g s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.3g min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.3g h", d.Hours())
	}
	return fmt.Sprintf("%.3g days", d.Hours()/24)
}

// coarse is a duration in words that do not change with every look.
func coarse(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return span(d.Round(time.Second))
	case d < 2*time.Minute:
		return span(d.Round(10 * time.Second))
	case d < time.Hour:
		return span(d.Round(time.Minute))
	}
	return span(d.Round(time.Hour / 4))
}
