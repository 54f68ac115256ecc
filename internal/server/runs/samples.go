package runs

import (
	"net/http"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
)

const (
	maxPoints     = 5000
	defaultPoints = 500
	// heavyBytes is from how many journal bytes with samples on a request counts as a heavy read.
	heavyBytes = 4 << 20
)

// sampleSeries is the response with samples.
type sampleSeries struct {
	Run     string       `json:"run"`
	Attempt int          `json:"attempt"`
	Samples []job.Sample `json:"samples"`
	Total   int          `json:"total"`  // how many were measured, of which Samples is a selection
	Points  int          `json:"points"` // how many were requested
}

// GetSamples responds with CPU, memory and IO over time, reduced to the requested number of points.
func (s *Runs) GetSamples(w http.ResponseWriter, r *http.Request) {
	p := httpio.NewParams(r, "points", "attempt", "from", "to")
	points := int(p.Number("points", 1, maxPoints, defaultPoints))
	attempt := int(p.Number("attempt", 1, job.MaxAttempt, 0))
	from, to := p.Time("from"), p.Time("to")
	if p.Err != nil {
		s.Fail(w, r, p.Err)
		return
	}
	view, err := s.FindAttempt(r.Context(), r.PathValue("run"), attempt)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	ctx := r.Context()
	bytes, err := s.Store.SampledBytes(ctx, view.ID, view.Attempt)
	if err == nil && bytes > heavyBytes {
		var place *shares.Place
		if ctx, place, err = s.HeavyRead(r); err == nil {
			defer place.Leave()
		}
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	series, err := s.Store.Samples(ctx, view.ID, view.Attempt, query.Samples{From: from, To: to, Points: points})
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	httpio.OK(w, sampleSeries{
		Run: view.ID, Attempt: view.Attempt,
		Samples: series.Samples, Total: series.Total, Points: points,
	})
}

// DocSamples describes GetSamples.
var DocSamples = route.Doc{
	Text: "Returns samples. They are reduced to minima and maxima, so that peaks are kept.",
	Params: []route.Param{
		route.Attempt(),
		route.Query("points", "About how many points to return, 1 to 5000.", "integer"),
		route.Query("from", "Only samples at this time or later.", "string"),
		route.Query("to", "Only samples at this time or earlier.", "string"),
	},
	Answers: []route.Content{route.JSON(sampleSeries{})},
	Errors:  []int{400, 404},
}
