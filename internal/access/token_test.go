package access

import (
	"strings"
	"testing"
	"time"
)

func TestNewTokenRefuses(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name, token string
		scope       Scope
		expires     time.Time
	}{
		{"no name", "", Read, time.Time{}},
		{"control character", "a\x00b", Read, time.Time{}},
		{"no scope", "ci", Public, time.Time{}},
		{"unknown scope", "ci", "root", time.Time{}},
		{"expired before it began", "ci", Read, now},
	} {
		if _, _, err := NewToken(tt.token, tt.scope, tt.expires, now); err == nil {
			t.Errorf("%s: a token was made", tt.name)
		}
	}
	a, ta, err := NewToken("ci", Agent, now.Add(time.Hour), now)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := NewToken("ci", Agent, now.Add(time.Hour), now)
	if err != nil {
		t.Fatal(err)
	}
	if a == b || !strings.HasPrefix(a, "stint_") || len(a) < 40 || !strings.HasPrefix(a, ta.Prefix) || len(ta.Hash) != 32 {
		t.Errorf("secrets %q and %q, stored %+v", a, b, ta)
	}
}
