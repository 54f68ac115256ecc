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
	a, b := NewClaimToken(), NewClaimToken()
	if a == b || !IsClaimToken(a) || len(a) < 40 || IsAttemptToken(a) {
		t.Errorf("%q, %q", a, b)
	}
	if IsClaimToken(tokenPrefix+NewSecret()) || IsClaimToken(claimTokenPrefix+strings.Repeat("a", 300)) {
		t.Error("something else is a token of a claim")
	}
}
