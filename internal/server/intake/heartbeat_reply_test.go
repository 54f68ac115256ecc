package intake

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stint.dev/stint/job"
)

// What is written without looking at types is what encoding/json writes.
func TestBeatReplyIsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := job.HeartbeatReply{
			Run: "01890a5d-ac96-774b-bcce-b302099a8057", Attempt: rapid.IntRange(1, job.MaxAttempt).Draw(t, "attempt"),
			Server:  "5a3c1c1e-6f6b-4b0e-8d0c-6f4d3f6a8b11",
			LeaseMS: rapid.Int64().Draw(t, "lease"), NextMS: rapid.Int64().Draw(t, "next"),
			Owner: rapid.Bool().Draw(t, "owner"), Watched: rapid.Bool().Draw(t, "watched"), Commands: []job.Command{},
		}
		if rapid.Bool().Draw(t, "command") {
			r.Commands = append(r.Commands, job.Command{Kind: "cancel", By: "ada"})
		}
		want, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		writeReply(w, r)
		if diff := cmp.Diff(string(want), strings.TrimSuffix(w.Body.String(), "\n")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
