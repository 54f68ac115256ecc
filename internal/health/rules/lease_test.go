package rules

import (
	"testing"
	"time"

	"stint.dev/stint/internal/lease"
)

func TestLeaseEnd(t *testing.T) {
	s := func(n float64) time.Duration { return at(n).Sub(noon) }
	long := func(l *lease.Lease) { l.EveryPeriod, l.Length, l.ExpiresAt = 5*time.Minute, 15*time.Minute, at(900) }
	for _, c := range []struct {
		name   string
		lease  lease.Lease // last sign of life at noon, with a lease of 15 s
		circs  Circumstances
		end    float64
		capped bool
	}{
		{"no outage", newLease(), Circumstances{}, 15, false},
		{"after an outage", newLease(), Circumstances{Outage: s(4), ExtendedTo: at(70)}, 70, false},
		{"after a night", newLease(), Circumstances{Outage: s(36000), ExtendedTo: at(36070)}, 36070, false},
		{"after two outages", newLease(), Circumstances{Outage: s(8), ExtendedTo: at(84)}, 83, true},
		{"after a hundred of them", newLease(), Circumstances{Outage: s(400), ExtendedTo: at(560)}, 475, true},
		{"an extension that the lease outlasts", newLease(long), Circumstances{Outage: s(4), ExtendedTo: at(64)}, 900, false},
		{"a long period", newLease(long), Circumstances{Outage: s(800), ExtendedTo: at(1500)}, 1500, false},
		{"a long period, at the cap", newLease(long), Circumstances{Outage: s(800), ExtendedTo: at(9000)}, 2300, true},
		{"a heartbeat that is not stored", newLease(), Circumstances{Arrived: at(12)}, 27, false},
		{"an older one", newLease(), Circumstances{Arrived: at(-3)}, 15, false},
		{"a heartbeat that is not stored moves the cap", newLease(), Circumstances{Arrived: at(12), Outage: s(3), ExtendedTo: at(200)}, 90, true},
		{"taken over", newLease(), Circumstances{ExtendedTo: at(29)}, 29, false},
		{"taken over again and again", newLease(), Circumstances{ExtendedTo: at(100)}, 75, true},
	} {
		if end, capped := LeaseEnd(c.lease, c.circs); !end.Equal(at(c.end)) || capped != c.capped {
			t.Errorf("%s: until %s, capped %v; want %s, %v", c.name, Clock(end), capped, Clock(at(c.end)), c.capped)
		}
	}
	// Silence of many together is no excuse without end either.
	held := Circumstances{HeldUntil: at(10_000)}
	if got := Deadline(newLease(), held); !got.Equal(at(15 + HoldLimit.Seconds())) {
		t.Errorf("held until %s", Clock(got))
	}
}
