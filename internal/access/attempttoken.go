package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
)

// attemptTokenPrefix is the prefix of every token of an attempt.
const attemptTokenPrefix = tokenPrefix + "attempt_"

// incarnationBytes is the length of an incarnation, which a token begins with. Its code follows.
const incarnationBytes = 16

// AttemptToken returns the token of an attempt of a submitted run, for the process that has the permit
// to start it. It is good for the journal and the heartbeats of this attempt. It is not stored: key is
// a secret of the server that signs it. incarnation is 32 hexadecimal digits; the result is empty for
// anything else.
func AttemptToken(key []byte, run string, attempt int, incarnation string) string {
	raw, err := hex.DecodeString(incarnation)
	if err != nil || len(raw) != incarnationBytes || len(key) == 0 {
		return ""
	}
	return attemptTokenPrefix + base64.RawURLEncoding.EncodeToString(append(raw, attemptCode(key, run, attempt, raw)...))
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
	if !hmac.Equal(raw[incarnationBytes:], attemptCode(key, run, attempt, raw[:incarnationBytes])) {
		return "", false
	}
	return hex.EncodeToString(raw[:incarnationBytes]), true
}

// attemptCode authenticates who may report an attempt. The parts are separated, so that no two attempts
// have the same message.
func attemptCode(key []byte, run string, attempt int, incarnation []byte) []byte {
	code := hmac.New(sha256.New, key)
	for _, part := range []string{"stint attempt", run, strconv.Itoa(attempt), string(incarnation)} {
		code.Write([]byte(part))
		code.Write([]byte{0})
	}
	return code.Sum(nil)
}

// claimTokenPrefix is the prefix of every token of a claim.
const claimTokenPrefix = tokenPrefix + "claim_"

// NewClaimToken returns a secret for a claim: whoever has it may ask for the permit to start its attempt.
// Only its hash is stored.
func NewClaimToken() string { return claimTokenPrefix + NewSecret() }

// IsClaimToken reports whether a secret has the form of a token of a claim.
func IsClaimToken(secret string) bool {
	return strings.HasPrefix(secret, claimTokenPrefix) && len(secret) <= maxSecretLength
}
