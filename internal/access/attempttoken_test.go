package access

import (
	"bytes"
	"strings"
	"testing"
)

func TestAttemptToken(t *testing.T) {
	const run, other = "0199aaaa-0000-7000-8000-000000000001", "0199aaaa-0000-7000-8000-000000000002"
	key := bytes.Repeat([]byte{7}, 32)
	incarnation := strings.Repeat("0a", 16)
	token := AttemptToken(key, run, 2, incarnation)
	if !IsAttemptToken(token) || !MayBeToken(token) || token != AttemptToken(key, run, 2, incarnation) {
		t.Fatalf("the token is %q", token)
	}
	if by, ok := CheckAttemptToken(key, token, run, 2); !ok || by != incarnation {
		t.Errorf("the token is not its own: %q, %v", by, ok)
	}
	for name, ok := range map[string]bool{
		"another run":     second(CheckAttemptToken(key, token, other, 2)),
		"another attempt": second(CheckAttemptToken(key, token, run, 1)),
		"another server":  second(CheckAttemptToken(bytes.Repeat([]byte{8}, 32), token, run, 2)),
		"no key":          second(CheckAttemptToken(nil, token, run, 2)),
		"longer":          second(CheckAttemptToken(key, token+"A", run, 2)),
		"shorter":         second(CheckAttemptToken(key, token[:len(token)-2], run, 2)),
		"the prefix":      second(CheckAttemptToken(key, attemptTokenPrefix, run, 2)),
		"nothing":         second(CheckAttemptToken(key, "", run, 2)),
		"a plain token":   second(CheckAttemptToken(key, tokenPrefix+NewSecret(), run, 2)),
	} {
		if ok {
			t.Errorf("the token is accepted for %s", name)
		}
	}
	for i := range token {
		changed := []byte(token)
		changed[i] ^= 1
		if second(CheckAttemptToken(key, string(changed), run, 2)) {
			t.Errorf("a token with another byte %d is accepted", i)
		}
	}
	for name, token := range map[string]string{
		"no key": AttemptToken(nil, run, 2, incarnation), "a short incarnation": AttemptToken(key, run, 2, "0a"),
		"no hexadecimal digits": AttemptToken(key, run, 2, strings.Repeat("zz", 16)),
	} {
		if token != "" {
			t.Errorf("%s: the token is %q", name, token)
		}
	}
}

func second(_ string, ok bool) bool { return ok }

func TestClaimTokens(t *testing.T) {
	const claim = "0199aaaa-0000-7000-8000-000000000001"
	key, other := bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{8}, 32)
	token := ClaimToken(key, claim)
	if id, ok := ClaimOf(key, token); !ok || id != claim || !IsClaimToken(token) || IsAttemptToken(token) {
		t.Fatalf("the token %q is of claim %q, %v", token, id, ok)
	}
	if _, ok := ClaimOf(other, token); ok {
		t.Error("the token is accepted by another server")
	}
	if _, ok := ClaimOf(nil, token); ok || ClaimToken(nil, claim) != "" || ClaimToken(key, "no UUID") != "" {
		t.Error("there are tokens without a key, or without a claim")
	}
	for i := range token {
		changed := []byte(token)
		changed[i] ^= 1
		if _, ok := ClaimOf(key, string(changed)); ok {
			t.Errorf("a token with another byte %d is accepted", i)
		}
	}
	for _, bad := range []string{"", tokenPrefix + NewSecret(), claimTokenPrefix, token + "A", claimTokenPrefix + strings.Repeat("a", 300)} {
		if _, ok := ClaimOf(key, bad); ok {
			t.Errorf("%q is accepted", bad)
		}
	}
}
