package notify

import (
	"strings"
	"testing"
)

func TestNamesOfRoutes(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "7": true, "Ops.team_1-b": true, "a.": true, strings.Repeat("x", 100): true,
		"": false, ".a": false, "-a": false, "_a": false, "a b": false, "a/b": false, "ä": false, "a\n": false, strings.Repeat("x", 101): false,
	} {
		if got := validName(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
