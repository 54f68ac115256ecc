package api

import (
	"time"

	"stint.dev/stint/job"
)

// DefinedJob is a job that the server can start: its definition, as it is now or as one version.
type DefinedJob struct {
	Job     string `json:"job"`
	Version string `json:"version"` // hash of the content
	// Source is where the definition is kept, as it was applied; empty for none.
	Source      string `json:"source,omitempty"`
	Description string `json:"description,omitempty"`
	// YAML is the text; lists leave it out.
	YAML       string           `json:"yaml,omitempty"`
	Command    string           `json:"command"` // as a shell would read it
	Parameters []ParameterInput `json:"parameters"`
	Zone       string           `json:"zone,omitempty"` // empty for UTC
	Priority   job.Priority     `json:"priority"`
	Group      string           `json:"group,omitempty"`
	AppliedAt  time.Time        `json:"applied_at"`
	AppliedBy  string           `json:"applied_by,omitempty"`
	// EditedAt is when the definition was changed on the page, if that was after it was applied.
	EditedAt *time.Time `json:"edited_at,omitempty"`
	EditedBy string     `json:"edited_by,omitempty"`
	Paused   *Pause     `json:"paused,omitempty"`
}

// Pause says that a person keeps a job from being started.
type Pause struct {
	At  time.Time `json:"at"`
	By  string    `json:"by,omitempty"`
	Why string    `json:"why,omitempty"`
}

// ParameterInput is an input of a job, for forms.
type ParameterInput struct {
	Name string `json:"name"`
	Type string `json:"type"` // "text", "number", "integer", "boolean", "choice" or "date"
	// Default is as it was written, and Resolved what it would be for a run that is submitted now;
	// both nil for an input that must be given.
	Default  *string  `json:"default,omitempty"`
	Resolved *string  `json:"resolved,omitempty"`
	Choices  []string `json:"choices,omitempty"`
	Min      string   `json:"min,omitempty"`
	Max      string   `json:"max,omitempty"`
	Pattern  string   `json:"pattern,omitempty"`
	Help     string   `json:"help,omitempty"`
}

// DefinitionVersion is a version of a definition.
type DefinitionVersion struct {
	Version string `json:"version"`
	Current bool   `json:"current"`
	// FirstAt is when the content was first applied, and AppliedAt when it last became the
	// definition.
	FirstAt   time.Time `json:"first_at"`
	AppliedAt time.Time `json:"applied_at"`
	AppliedBy string    `json:"applied_by,omitempty"`
	Source    string    `json:"source,omitempty"`
	// Changes say what differs from the version that is before this one in the list of versions by
	// the time when they became the definition.
	Changes []string `json:"changes"`
}

// ApplyRequest sets definitions, all or none.
type ApplyRequest struct {
	Files []ApplyFile `json:"files"`
	// Source names where the files are kept. Definitions keep it, and Prune deletes those of the
	// source that are not among the files.
	Source string `json:"source,omitempty"`
	Prune  bool   `json:"prune,omitempty"`
	// DryRun only says what would change.
	DryRun bool `json:"dry_run,omitempty"`
	// Force overwrites what was edited on the page since, or belongs to another source.
	Force bool `json:"force,omitempty"`
	// Yes deletes also more than half of the definitions of the source.
	Yes bool   `json:"yes,omitempty"`
	By  string `json:"by,omitempty"` // name to record if the request has no login
}

// ApplyFile is a file with a definition.
type ApplyFile struct {
	Name string `json:"name"`
	YAML string `json:"yaml"`
}

// What becomes of a definition that is applied.
const (
	ApplyCreated   = "created"
	ApplyUpdated   = "updated"
	ApplyUnchanged = "unchanged"
	ApplyDeleted   = "deleted"
)

// ApplyReply says what was changed, or would be.
type ApplyReply struct {
	DryRun  bool          `json:"dry_run,omitempty"`
	Results []ApplyResult `json:"results"`
}

// ApplyResult is the result of applying one definition.
type ApplyResult struct {
	Job     string   `json:"job"`
	File    string   `json:"file,omitempty"`
	Result  string   `json:"result"` // one of the Apply constants
	Version string   `json:"version,omitempty"`
	Before  string   `json:"before,omitempty"` // the version before
	Changes []string `json:"changes"`
	// Overwrites says what Force overwrites; empty for nothing.
	Overwrites string `json:"overwrites,omitempty"`
}
