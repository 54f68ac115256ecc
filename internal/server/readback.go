package server

import (
	"net/http"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
)

var docJournalRest = route.Doc{
	Text: "Returns what the server has of a journal and its own agent has lost, after a power cut: " +
		"the same bytes as the call above, for the token that wrote them. The run is named by its whole id.",
	Params:  []route.Param{route.Query("offset", "Where the agent's own copy ends.", "integer")},
	Answers: []route.Content{route.Media("application/octet-stream", nil)},
	Errors:  []int{400, 403, 404, 410},
}

func (s *Server) readBackRoutes() []route.Row {
	return []route.Row{{
		Method: "GET", Pattern: "/api/v1/runs/{run}/attempts/{attempt}/journal/rest", Scope: access.Agent,
		Handle: s.getJournalRest, Stream: true, Summary: "Read one's own journal back", Doc: docJournalRest,
	}}
}

// getJournalRest is getJournal for the agent that wrote the journal.
func (s *Server) getJournalRest(w http.ResponseWriter, r *http.Request) {
	run, _, err := httpio.AttemptOf(r)
	if err == nil {
		err = s.access.Claim(r.Context(), run)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.getJournal(w, r)
}
