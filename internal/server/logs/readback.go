package logs

import (
	"net/http"

	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
)

// DocJournalRest describes GetJournalRest.
var DocJournalRest = route.Doc{
	Text: "Returns the part of a journal that its agent has lost in a power failure and the server has: " +
		"the same bytes as the download of a journal, for the token that wrote them. A submitted run's attempt may read it until it is whole. {run} is a whole id.",
	Params:  []route.Param{route.Query("offset", "Where the agent's own copy ends.", "integer")},
	Answers: []route.Content{route.Media("application/octet-stream", nil)},
	Errors:  []int{400, 403, 404, 409, 410},
}

// GetJournalRest is GetJournal for the agent that writes the journal.
func (s *Logs) GetJournalRest(w http.ResponseWriter, r *http.Request) {
	run, attempt, err := httpio.AttemptOf(r)
	if err == nil {
		err = s.MayReadBack(r.Context(), run, attempt)
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	s.GetJournal(w, r)
}
