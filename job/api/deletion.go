package api

import "time"

// DeletedRun says that a run was deleted: nothing of it is shown or taken any more.
type DeletedRun struct {
	Run       string    `json:"run"`
	DeletedAt time.Time `json:"deleted_at"`
	DeletedBy string    `json:"deleted_by"`
	// NotReached says, a sentence each, where copies of what it printed may be that the server does not delete.
	NotReached []string `json:"not_reached" nullable:"false"`
}

// DeletedJob says that a job was deleted with its runs.
type DeletedJob struct {
	Job        string   `json:"job"`
	Runs       int64    `json:"runs"` // how many were deleted with it
	NotReached []string `json:"not_reached" nullable:"false"`
}
