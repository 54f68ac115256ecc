package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// attemptTokenPrefix is the prefix of every token of an attempt.
const attemptTokenPrefix = tokenPrefix + "attempt_"

// incarnationBytes is the length of an incarnation, which a token begins with. Its code follows.
const incarnationBytes = 16

// AttemptToken returns the token of an attempt of a submitted run, for the process that has the permit
// to start it. It is valid for the journal and the heartbeats of this attempt. It is not stored: key is
// a secret of the server that signs it. incarnation is 32 hexadecimal digits; the result is empty for
// anything else.
func AttemptToken(key []byte, run string, attempt int, incarnation string) string {
	raw, err := hex.DecodeString(incarnation)
	if err != nil || len(raw) != incarnationBytes || len(key) == 0 {
		return ""
	}
	return attemptTokenPrefix + base64.RawURLEncoding.EncodeToString(append(raw, code(key, "stint attempt", run, strconv.Itoa(attempt), string(raw))...))
}

// IsAttemptToken reports whether a secret has the form of a token of an attempt.
func IsAttemptToken(secret string) bool {
	return strings.HasPrefix(secret, attemptTokenPrefix) && len(secret) <= maxSecretLength
}

// CheckAttemptToken returns the incarnation to which a token was given; ok is false unless it is the
// token of this attempt.
func CheckAttemptToken(key []byte, token, run string, attempt int) (incarnation string, ok bool) {
	if !IsAttemptToken(token) || len(key) == 0 {
		return "", false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimPrefix(token, attemptTokenPrefix))
	if err != nil || len(raw) != incarnationBytes+sha256.Size {
		return "", false
	}
	if !hmac.Equal(raw[incarnationBytes:], code(key, "stint attempt", run, strconv.Itoa(attempt), string(raw[:incarnationBytes]))) {
		return "", false
	}
	return hex.EncodeToString(raw[:incarnationBytes]), true
}

// claimTokenPrefix is the prefix of every token of a claim.
const claimTokenPrefix = tokenPrefix + "claim_"

// ClaimToken returns the token of a claim, whose holder may ask for the permit to start its attempt.
// It is not stored: key is a secret of the server that signs it. id is a UUID; the result is empty for
// anything else.
func ClaimToken(key []byte, id string) string {
	raw, err := uuid.Parse(id)
	if err != nil || len(key) == 0 {
		return ""
	}
	return claimTokenPrefix + base64.RawURLEncoding.EncodeToString(append(raw[:], code(key, "stint claim", string(raw[:]))...))
}

// IsClaimToken reports whether a secret has the form of a token of a claim.
func IsClaimToken(secret string) bool {
	return strings.HasPrefix(secret, claimTokenPrefix) && len(secret) <= maxSecretLength
}

// ClaimOf returns the claim of a token; ok is false unless the server signed it.
func ClaimOf(key []byte, token string) (id string, ok bool) {
	if !IsClaimToken(token) || len(key) == 0 {
		return "", false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimPrefix(token, claimTokenPrefix))
	if err != nil || len(raw) != len(uuid.UUID{})+sha256.Size {
		return "", false
	}
	claim := uuid.UUID(raw[:len(uuid.UUID{})])
	if !hmac.Equal(raw[len(claim):], code(key, "stint claim", string(claim[:]))) {
		return "", false
	}
	return claim.String(), true
}

// code authenticates a message of several parts. The parts are separated, so that no two messages are
// the same.
func code(key []byte, parts ...string) []byte {
	c := hmac.New(sha256.New, key)
	for _, part := range parts {
		c.Write([]byte(part))
		c.Write([]byte{0})
	}
	return c.Sum(nil)
}
