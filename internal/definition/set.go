package definition

import (
	"fmt"
	"strings"
	"time"

	"stint.dev/stint/job/api"
)

// Applied is a definition as the server keeps it.
type Applied struct {
	Job       string
	Version   string
	Source    string
	YAML      string
	Canonical []byte
	AppliedAt time.Time
	AppliedBy string
	EditedAt  *time.Time
	EditedBy  string
	Paused    *api.Pause
}

// Version is a content that a definition had.
type Version struct {
	Hash      string
	YAML      string
	Canonical []byte
	FirstAt   time.Time
	AppliedAt time.Time // when it last became the definition
	AppliedBy string
	Source    string
}

// New is a definition that is to be applied.
type New struct {
	Job       string
	Version   string
	YAML      string
	Canonical []byte
	// Policy is the text of the health policy, and Actions what it says is to be done, as JSON.
	// Empty for a definition without one.
	Policy  string
	Actions []byte
}

// Set is definitions that are to be applied, all or none.
type Set struct {
	New    []New
	Source string
	Prune  bool // delete the others of the source
	DryRun bool
	Force  bool
	Yes    bool // also when more than half of the source would be deleted
	// Edit is a change of one definition by a person on the page. Base is the version that they
	// changed; empty for a new definition.
	Edit bool
	Base string
	By   string
	At   time.Time
}

// Result is the result of applying one definition. Before is its previous content.
type Result struct {
	Job        string
	Result     string // one of job's Apply constants
	Version    string
	Before     Version
	Overwrites string
}

// ConflictError says why definitions were not applied: every reason.
type ConflictError struct{ All []string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("nothing was applied: %s", strings.Join(e.All, "; "))
}

// IsHash reports whether a text can be the beginning of the hash of a version: 4 to 64 hexadecimal
// digits.
func IsHash(text string) bool {
	return len(text) >= 4 && len(text) <= 64 && strings.Trim(text, "0123456789abcdef") == ""
}
