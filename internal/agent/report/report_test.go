package report

import "testing"

func TestNewReporterRefuses(t *testing.T) {
	for _, raw := range []string{"", "host:1/x", "ftp://host", "http://", "http://host?q=1", "http://ho st"} {
		if _, err := NewReporter(raw); err == nil {
			t.Errorf("NewReporter(%q) takes it", raw)
		}
	}
}
