package runs

import (
	"net/http"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
)

// Points of a series of samples.
const (
	maxPoints     = 5000
	defaultPoints = 500
	// manySamples is how many journal bytes with samples in them may be read beside
	// searches; of more only as many requests are answered at once as there are searches.
	manySamples = 4 << 20
)

// sampleSeries is the answer to a request for samples.
type sampleSeries struct {
	Run     string       `json:"run"`
	Attempt int          `json:"attempt"`
	Samples []job.Sample `json:"samples"`
	Total   int          `json:"total"`  // measured in that time, of which Samples is a choice
	Points  int          `json:"points"` // asked for
}

// GetSamples answers with CPU, memory and IO over time, as few as asked for.
func (s *Runs) GetSamples(w http.ResponseWriter, r *http.Request) {
	p := httpio.NewParams(r, "points", "attempt", "from", "to")
	points := int(p.Number("points", 1, maxPoints, defaultPoints))
	attempt := int(p.Number("attempt", 1, job.MaxAttempt, 0))
	from, to := p.Time("from"), p.Time("to")
	if p.Err != nil {
		s.Fail(w, r, p.Err)
		return
	}
	view, err := s.AttemptView(r.Context(), r.PathValue("run"), attempt)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	ctx := r.Context()
	bytes, err := s.Store.SampledBytes(ctx, view.ID, view.Attempt)
	if err == nil && bytes > manySamples {
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
	httpio.Answer(w, sampleSeries{
		Run: view.ID, Attempt: view.Attempt,
		Samples: series.Samples, Total: series.Total, Points: points,
	})
}

// DocSamples describes GetSamples.
var DocSamples = route.Doc{
	Text: "Returns samples, reduced by minimum and maximum so that spikes survive.",
	Params: []route.Param{
		route.Attempt(),
		route.Query("points", "About how many points to return, 1 to 5000.", "integer"),
		route.Query("from", "Only from this time on.", "string"),
		route.Query("to", "Only up to this time.", "string"),
	},
	Answers: []route.Content{route.JSON(sampleSeries{})},
	Errors:  []int{400, 404},
}
