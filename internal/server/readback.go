package server

import (
	"net/http"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
)

var docJournalRest = doc{
	text: "Returns what the server has of a journal and its own agent has lost, after a power cut: " +
		"the same bytes as the call above, for the token that wrote them. The run is named by its whole id.",
	params:  []param{{"offset", "query", "Where the agent's own copy ends.", "integer"}},
	answers: []content{{"application/octet-stream", nil}},
	errors:  []int{400, 403, 404, 410},
}

func (s *Server) readBackRoutes() []route {
	return []route{{
		method: "GET", pattern: "/api/v1/runs/{run}/attempts/{attempt}/journal/rest", scope: access.Agent,
		handle: s.getJournalRest, stream: true, summary: "Read one's own journal back", doc: docJournalRest,
	}}
}

// getJournalRest is getJournal for the agent that wrote the journal.
func (s *Server) getJournalRest(w http.ResponseWriter, r *http.Request) {
	run, _, err := httpio.AttemptOf(r)
	if err == nil {
		err = s.own(r.Context(), run)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.getJournal(w, r)
}
