package delivery

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/statedir"
)

// hungNoteTimeout is how long a server counts as hung after an agent saw that it does not answer.
const hungNoteTimeout = time.Minute

// HungServers is the note, in an agent's state directory, of a server that accepts connections
// and does not answer. Because of it only the first of many short jobs waits for that server. A state
// directory that cannot be used, or does not answer, holds no note. The methods of nil do
// nothing.
type HungServers struct{ state, path string }

// NewHungServers returns the note for one server's address.
func NewHungServers(stateDir, address string) *HungServers {
	if stateDir == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(address))
	return &HungServers{stateDir, filepath.Join(stateDir, "hung", hex.EncodeToString(sum[:8]))}
}

// Note writes that the server was seen to hang. It does not wait long for the disk.
func (h *HungServers) Note(now time.Time) {
	if h == nil {
		return
	}
	bounded.Do(noteLimit, func() {
		if _, err := statedir.Open(h.state, "hung"); err == nil {
			_ = os.WriteFile(h.path, []byte(now.UTC().Format(time.RFC3339Nano)+"\n"), 0o600) // without it the next agent waits longer
		}
	})
}

// SilentLimit returns how long an ended attempt waits for a server that has not answered once. It
// does not wait long for the disk.
func (h *HungServers) SilentLimit(now time.Time) time.Duration {
	if h == nil {
		return silentLimit
	}
	if recent, err := bounded.Call(noteLimit, func() (bool, error) { return h.recent(now), nil }); err == nil && recent {
		return hungLimit
	}
	return silentLimit
}

// recent reports whether the server was seen to hang a moment ago.
func (h *HungServers) recent(now time.Time) bool {
	text, err := os.ReadFile(h.path)
	if err != nil {
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(text)))
	age := now.Sub(at)
	return err == nil && age >= 0 && age < hungNoteTimeout
}
