package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/job"
)

const (
	// tokenPrefix is the prefix of every secret but that of the scope ping, so that people and scanners recognize one.
	tokenPrefix = "stint_"
	// maxSecretLength is longer than any secret that NewToken returned.
	maxSecretLength = 256
)

// Token is a stored access token; the secret itself is never stored.
type Token struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Scope      string     `json:"scope"` // one of Scopes
	Prefix     string     `json:"prefix"`
	Hash       []byte     `json:"-"` // SHA-256 of the secret
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	// Worker is the name of the worker that a token of the scope worker is for, and Labels are those
	// that the worker may have.
	Worker string            `json:"worker,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
}

// SetWorker says which worker a token is for. A token of the scope worker needs a worker; others have none.
func (t *Token) SetWorker(worker string, labels map[string]string) error {
	switch {
	case t.Scope != string(Worker) && (worker != "" || len(labels) > 0):
		return &job.InvalidError{What: "worker", Value: worker, Why: "is for the scope worker only"}
	case t.Scope != string(Worker):
		return nil
	case worker == "":
		return &job.InvalidError{What: "worker", Value: worker, Why: "is missing: a token of the scope worker is for one worker"}
	case len(labels) > job.MaxLabels:
		return &job.InvalidError{What: "labels", Value: worker, Why: fmt.Sprintf("are more than %d", job.MaxLabels)}
	}
	if err := job.CheckWorker(worker); err != nil {
		return err
	}
	for key, value := range labels {
		if err := job.CheckLabel(key, value); err != nil {
			return err
		}
	}
	t.Worker, t.Labels = worker, labels
	return nil
}

// NewToken returns a new token: the secret, which is shown once, and the token to store. expires
// may be zero for a token that does not expire.
func NewToken(name string, scope Scope, expires, now time.Time) (secret string, t Token, err error) {
	if err := job.CheckLabel("name", name); err != nil || name == "" {
		return "", Token{}, &job.InvalidError{What: "token name", Value: name, Why: "must be 1 to 256 printable characters"}
	}
	if !scope.Valid() {
		return "", Token{}, &job.InvalidError{What: "scope", Value: string(scope), Why: "is none of agent, read, write, author, admin, worker, ping"}
	}
	if !expires.IsZero() && !expires.After(now) {
		return "", Token{}, &job.InvalidError{What: "expiry", Value: expires.UTC().Format(time.RFC3339), Why: "is not in the future"}
	}
	shown := len(tokenPrefix) + 6
	secret = tokenPrefix + NewSecret()
	if scope == Ping {
		secret, shown = newPingKey(), 4
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", Token{}, fmt.Errorf("make token id: %w", err)
	}
	t = Token{
		ID: id.String(), Name: name, Scope: string(scope), Prefix: secret[:shown],
		Hash: Hash(secret), CreatedAt: now.UTC(),
	}
	if !expires.IsZero() {
		at := expires.UTC()
		t.ExpiresAt = &at
	}
	return secret, t, nil
}

// NewSecret returns 256 random bits as text.
func NewSecret() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // Read never fails: the runtime crashes the program instead
	return base64.RawURLEncoding.EncodeToString(random)
}

const (
	// pingKeyLength is the length of the secret of a token of the scope ping, and pingKeySymbols are its
	// characters: it is part of a URL, and clients of Healthchecks expect that form of it.
	pingKeyLength  = 22
	pingKeySymbols = "0123456789abcdefghijklmnopqrstuvwxyz"
)

// newPingKey returns 113 random bits as the secret of a token of the scope ping.
func newPingKey() string {
	key := make([]byte, 0, pingKeyLength)
	for random := make([]byte, 1); len(key) < pingKeyLength; {
		_, _ = rand.Read(random) // never fails, as above
		if n := int(random[0]); n < 256/len(pingKeySymbols)*len(pingKeySymbols) {
			key = append(key, pingKeySymbols[n%len(pingKeySymbols)])
		}
	}
	return string(key)
}

// IsPingKey reports whether a text has the form of the secret of a token of the scope ping.
func IsPingKey(text string) bool {
	return len(text) == pingKeyLength && strings.Trim(text, pingKeySymbols) == ""
}

// Hash returns the hash of a secret, which is stored instead of it. One round of SHA-256 is enough for so many random bits.
func Hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// MayBeToken reports whether a secret has the form of a token.
func MayBeToken(secret string) bool {
	return strings.HasPrefix(secret, tokenPrefix) && len(secret) <= maxSecretLength || IsPingKey(secret)
}
