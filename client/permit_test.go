package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"stint.dev/stint/job"
)

func TestAskPermit(t *testing.T) {
	const grant = `"permit":"granted","lease_ms":30000,"attempt_token":"sta_x"`
	wrongOffset := func(more string) string {
		return `{"type":"` + job.ProblemWrongOffset + `","title":"Conflict","status":409,"size":17` + more + `}`
	}
	for name, c := range map[string]struct {
		status int
		body   string
		answer string // of the permit; empty for an error
		size   int64
	}{
		"granted":                        {200, `{` + ours + `,"size":17,` + grant + `}`, job.PermitGranted, 17},
		"refused":                        {200, `{` + ours + `,"size":0,"permit":"refused","why":"canceled"}`, job.PermitRefused, 0},
		"asked again":                    {409, wrongOffset("," + grant), job.PermitGranted, 17},
		"refused with a conflict":        {409, `{"type":"` + job.ProblemConflict + `","title":"Conflict","status":409,"permit":"refused","why":"superseded"}`, job.PermitRefused, 0},
		"a size is no permit":            {200, `{` + ours + `,"size":17}`, "", 0},
		"a size in a conflict is none":   {409, wrongOffset(""), "", 0},
		"an unknown answer":              {200, `{` + ours + `,"size":17,"permit":"perhaps"}`, "", 0},
		"in capitals":                    {200, `{` + ours + `,"size":17,"Permit":"granted"}`, "", 0},
		"of another run":                 {200, strings.Replace(`{`+ours+`,"size":17,`+grant+`}`, someRun, "01890a5d-ac96-774b-bcce-b302099a8058", 1), "", 0},
		"of another attempt":             {200, strings.Replace(`{`+ours+`,"size":17,`+grant+`}`, `"attempt":3`, `"attempt":2`, 1), "", 0},
		"a conflict that is not Stint's": {409, `{"type":"about:blank","title":"Conflict","status":409,` + grant + `}`, "", 0},
		"an error with a permit":         {500, `{"type":"` + job.ProblemInternal + `","title":"Internal","status":500,` + grant + `}`, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var got *http.Request
			var data []byte
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				got = r
				data, _ = io.ReadAll(r.Body) // the client reports any error
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			reply, err := s.AskPermit(t.Context(), PermitRequest{Run: someRun, Attempt: 3, Claim: "secret", Incarnation: "00ff", Journal: []byte("the beginning")})
			if (err == nil) != (c.answer != "") || reply.Answer != c.answer || reply.Size != c.size {
				t.Errorf("%+v, %v", reply, err)
			}
			if c.answer == job.PermitGranted && (reply.AttemptToken != "sta_x" || reply.LeaseMS != 30000) {
				t.Errorf("%+v", reply)
			}
			if got.Header.Get(job.HeaderClaim) != "secret" || got.Header.Get(job.HeaderIncarnation) != "00ff" ||
				got.URL.Query().Get("offset") != "0" || !bytes.Equal(data, []byte("the beginning")) {
				t.Errorf("sent %s %v: %q", got.URL, got.Header, data)
			}
		})
	}
}

// A conflict without a permit is the error that any other append would get.
func TestAskPermitConflict(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"type":"`+job.ProblemRunIDUsed+`","title":"Conflict","status":409}`)
	})
	_, err := c.AskPermit(t.Context(), PermitRequest{Run: someRun, Attempt: 3})
	var p *job.Problem
	if !errors.As(err, &p) || p.Type != job.ProblemRunIDUsed {
		t.Errorf("%v", err)
	}
}

func TestWithToken(t *testing.T) {
	var tokens []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		tokens = append(tokens, r.Header.Get("Authorization"))
		writeJSON(w, goodBoth)
	})
	for _, c := range []*Client{c.WithToken("one"), c.WithToken(""), c} {
		if _, err := c.Beat(t.Context(), someRun, 3, job.Heartbeat{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(tokens) != 3 || tokens[0] != "Bearer one" || tokens[1] != "" || tokens[2] == tokens[0] {
		t.Errorf("%q", tokens)
	}
}
