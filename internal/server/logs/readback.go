package logs

import (
	"net/http"

	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
)

// DocJournalRest describes a call.
var DocJournalRest = route.Doc{
	Text: "Returns what the server has of a journal and its own agent has lost, after a power cut: " +
		"the same bytes as the call above, for the token that wrote them. The run is named by its whole id.",
	Params:  []route.Param{route.Query("offset", "Where the agent's own copy ends.", "integer")},
	Answers: []route.Content{route.Media("application/octet-stream", nil)},
	Errors:  []int{400, 403, 404, 410},
}

// GetJournalRest is GetJournal for the agent that wrote the journal.
func (s *Logs) GetJournalRest(w http.ResponseWriter, r *http.Request) {
	run, _, err := httpio.AttemptOf(r)
	if err == nil {
		err = s.Claim(r.Context(), run)
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	s.GetJournal(w, r)
}
