package rules

import (
	"fmt"
	"time"

	"stint.dev/stint/job"
)

// Clock returns the time of day of t in UTC.
func Clock(t time.Time) string { return job.ClockText(t) }

// Span returns a duration as text with at most three significant digits.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Span(-d)
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

// roundedSpan returns a duration as text that does not change with every heartbeat.
func roundedSpan(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return Span(d.Round(time.Second))
	case d < 2*time.Minute:
		return Span(d.Round(10 * time.Second))
	case d < time.Hour:
		return Span(d.Round(time.Minute))
	}
	return Span(d.Round(time.Hour / 4))
}
