package reply

import (
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 10, 21, 7, 28, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "-5": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "60": time.Minute, "61": time.Minute,
		"9223372036854775807": time.Minute, "-9223372036854775808": 0, "1000000000000000000000": time.Minute, "-1000000000000000000000": 0,
		"soon": 0, "1.5": 0, "0x10": 0,
		"Wed, 21 Oct 2026 07:28:30 GMT": 30 * time.Second, "Wed, 21 Oct 2026 07:27:00 GMT": 0,
		"Thu, 21 Oct 2100 07:28:00 GMT": time.Minute, "Wed, 21 Oct 1000 07:28:00 GMT": 0,
	} {
		if got := RetryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}
