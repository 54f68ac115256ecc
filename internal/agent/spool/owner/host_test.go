package owner

import "testing"

func TestHosts(t *testing.T) {
	for _, c := range []struct {
		name           string
		one, other     Host
		same, rebooted bool
	}{
		{"the same", Host{"a", "1"}, Host{"a", "1"}, true, false},
		{"after a reboot", Host{"a", "2"}, Host{"a", "1"}, true, true},
		{"in capitals", Host{"A", "2"}, Host{"a", "1"}, true, true},
		{"another container of this kernel", Host{"c2", "1"}, Host{"c1", "1"}, true, false},
		{"renamed since", Host{"b", "1"}, Host{"a", "1"}, true, false},
		{"another host", Host{"b", "2"}, Host{"a", "1"}, false, false},
		{"another host, no boot ids", Host{"b", ""}, Host{"a", ""}, false, false},
		{"no boot ids", Host{"a", ""}, Host{"a", ""}, true, false},
		{"a name that every host has", Host{"localhost", "2"}, Host{"localhost", "1"}, false, false},
		{"the same with a domain", Host{"localhost.localdomain", "2"}, Host{"localhost.localdomain", "1"}, false, false},
		{"nothing known of it", Host{"a", "1"}, Host{}, true, false},
	} {
		if got := c.one.Is(c.other); got != c.same {
			t.Errorf("%s: the same is %v", c.name, got)
		}
		if got := c.other.Is(c.one); got != c.same {
			t.Errorf("%s, the other way: the same is %v", c.name, got)
		}
		if got := c.one.RebootedSince(c.other); got != c.rebooted {
			t.Errorf("%s: rebooted is %v", c.name, got)
		}
	}
}
