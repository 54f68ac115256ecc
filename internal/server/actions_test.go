package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/notify"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func withNotifier(t *testing.T) *live {
	t.Helper()
	return start(t, server.Config{Notifier: notify.New(notify.Config{})})
}

type routeAnswer struct {
	Routes []api.Route `json:"routes"`
}

func TestRoutesAreSetAndShownWithoutSecrets(t *testing.T) {
	l := withNotifier(t)
	const url = "https://example.org/hook/s3cret"
	put := func(name, body string) reply { return l.do("PUT", "/api/v1/routes/"+name, []byte(body)) }
	var r api.Route
	put("team", `{"url":"`+url+`","secret":"whsec_c2VjcmV0","match":{"job":"n*","severity":"critical","events":["failed"],"labels":{"team":"ml"}},
		"quiet":{"cron":"0 22 * * *","duration":"9h","zone":"Europe/Berlin"},"group_seconds":60,"repeat_seconds":3600}`).ok(t, &r)
	if r.URL != "https://example.org/*****" || r.Secret != "" || !r.Enabled || r.Match.Job != "n*" || r.Quiet == nil || r.ChangedAt.IsZero() {
		t.Errorf("answer: %+v", r)
	}
	var all routeAnswer
	list := l.get("/api/v1/routes")
	list.ok(t, &all)
	if len(all.Routes) != 1 || strings.Contains(string(list.body), "s3cret") || strings.Contains(string(list.body), "whsec") {
		t.Errorf("list: %s", list.body)
	}
	stored := func() api.Route {
		t.Helper()
		r, err := l.store.Route(t.Context(), "team")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	// Set as it was shown, it keeps what was not shown.
	put("team", `{"name":"team","url":"https://example.org/*****","enabled":false,"changed_at":"2026-01-01T00:00:00Z"}`).ok(t, &r)
	if got := stored(); got.URL != url || got.Secret != "whsec_c2VjcmV0" || got.Enabled || got.Quiet != nil {
		t.Errorf("kept: %+v", got)
	}
	// The secret of one receiver is not used for another.
	put("team", `{"url":"https://elsewhere.example.org/"}`).ok(t, &r)
	if got := stored(); got.Secret != "" {
		t.Errorf("the secret went along: %+v", got)
	}
	if got := l.do("DELETE", "/api/v1/routes/team", nil); got.status != http.StatusNoContent {
		t.Errorf("deleted: %d %s", got.status, got.body)
	}
	l.do("DELETE", "/api/v1/routes/team", nil).problem(t, http.StatusNotFound)
	l.do("POST", "/api/v1/routes/team/test", nil).problem(t, http.StatusNotFound)
}

// A route whose secrets cannot be decrypted is listed with the reason, shows nothing, cannot be
// tested, and can be set again whole and deleted.
func TestRoutesWithoutTheirSecrets(t *testing.T) {
	dir, url := t.TempDir(), "https://example.org/hook/s3cret"
	st := openStore(t, dir)
	for _, name := range []string{"team", "other"} {
		if err := st.SetRoute(t.Context(), api.Route{Name: name, URL: url, Secret: "whsec_c2VjcmV0", Enabled: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(st.Close(), os.Remove(filepath.Join(dir, "secret.key"))); err != nil {
		t.Fatal(err)
	}
	l := start(t, server.Config{Notifier: notify.New(notify.Config{}), Store: openStore(t, dir)})
	var all routeAnswer
	l.get("/api/v1/routes").ok(t, &all)
	if len(all.Routes) != 2 || all.Routes[0].URL != "*****" || !strings.Contains(all.Routes[0].Error, "set the route again") {
		t.Errorf("list: %+v", all)
	}
	var tested struct {
		OK    bool
		Error string
	}
	l.do("POST", "/api/v1/routes/team/test", nil).ok(t, &tested)
	if tested.OK || tested.Error != all.Routes[1].Error {
		t.Errorf("tested: %+v", tested)
	}
	shown, err := json.Marshal(all.Routes[1])
	if err != nil {
		t.Fatal(err)
	}
	if p := l.do("PUT", "/api/v1/routes/team", shown).problem(t, http.StatusUnprocessableEntity); !strings.Contains(p.Detail, "give the whole URL") {
		t.Errorf("set as shown: %s", p.Detail)
	}
	var r api.Route
	l.do("PUT", "/api/v1/routes/team", []byte(`{"url":"`+url+`","secret":"whsec_c2VjcmV0"}`)).ok(t, &r)
	if r.Error != "" || r.URL != "https://example.org/*****" {
		t.Errorf("set again: %+v", r)
	}
	l.do("PUT", "/api/v1/routes/team", []byte(`{"url":"https://example.org/*****","enabled":false}`)).ok(t, &r) // kept, as ever
	if got := l.do("DELETE", "/api/v1/routes/other", nil); got.status != http.StatusNoContent {
		t.Errorf("deleted: %d %s", got.status, got.body)
	}
	var left routeAnswer
	l.get("/api/v1/routes").ok(t, &left)
	if len(left.Routes) != 1 || left.Routes[0].Error != "" || left.Routes[0].Enabled {
		t.Errorf("list: %+v", left)
	}
}

// A server that has no key to encrypt with refuses to store secrets, and says why.
func TestRoutesWithoutAKey(t *testing.T) {
	dir := t.TempDir()
	st, err := store.Open(t.Context(), store.Options{Dir: dir, SecretKeyFile: filepath.Join(dir, "none", "secret.key")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	l := start(t, server.Config{Notifier: notify.New(notify.Config{}), Store: st})
	p := l.do("PUT", "/api/v1/routes/team", []byte(`{"url":"https://example.org"}`)).problem(t, http.StatusConflict)
	if !strings.Contains(p.Detail, "--secret-key-file") {
		t.Errorf("refused: %s", p.Detail)
	}
	var all routeAnswer
	l.get("/api/v1/routes").ok(t, &all)
	if len(all.Routes) != 0 {
		t.Errorf("stored: %+v", all)
	}
}

func TestRoutesThatMakeNoSense(t *testing.T) {
	l := withNotifier(t)
	for body, want := range map[string]string{
		`{"url":"gopher://x"}`:                                                  "url: the scheme gopher",
		`{"url":"http://127.0.0.1/"}`:                                           "private network",
		`{"url":"https://example.org","name":"other"}`:                          "name:",
		`{"url":"https://e.org","match":{"job":"[a"}}`:                          "match.job",
		`{"url":"https://e.org","match":{"events":["exploded"]}}`:               "match.events[0]",
		`{"url":"https://e.org","quiet":{"cron":"61 * * * *","duration":"9h"}}`: "quiet.cron",
		`{"url":"https://e.org","repeat_seconds":1}`:                            "repeat_seconds",
	} {
		p := l.do("PUT", "/api/v1/routes/team", []byte(body)).problem(t, http.StatusUnprocessableEntity)
		if !strings.Contains(p.Detail, want) {
			t.Errorf("%s: %s", body, p.Detail)
		}
	}
	for _, body := range []string{`{`, `{"url":"https://e.org","surprise":1}`, `{"url":"https://e.org","match":{"severity":"bad"}}`, `[]`} {
		l.do("PUT", "/api/v1/routes/team", []byte(body)).problem(t, http.StatusBadRequest)
	}
	start(t, server.Config{}).get("/api/v1/routes").problem(t, http.StatusNotImplemented)
}

// deaf is a notifier whose receivers take nothing.
type deaf struct{ *notify.Worker }

func (deaf) TestRoute(context.Context, api.Route) error { return errors.New("it answered 500") }

func TestTestOfARoute(t *testing.T) {
	l := start(t, server.Config{Notifier: deaf{notify.New(notify.Config{})}})
	l.do("PUT", "/api/v1/routes/team", []byte(`{"url":"https://example.org"}`)).ok(t, nil)
	var got struct {
		OK    bool
		Error string
	}
	l.do("POST", "/api/v1/routes/team/test", nil).ok(t, &got)
	if got.OK || got.Error != "it answered 500" {
		t.Errorf("%+v", got)
	}
}

type actionsAnswer struct {
	Actions    []api.Action `json:"actions"`
	NextCursor int64        `json:"next_cursor"`
}

func TestActionsOfRuns(t *testing.T) {
	l := withNotifier(t)
	var ids []string
	for range 3 {
		s := newSketch(t, "train", nil).command().finish(1)
		l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
		ids = append(ids, s.id)
	}
	var page actionsAnswer
	l.get("/api/v1/runs/train%232/actions").ok(t, &page)
	if len(page.Actions) != 1 || page.Actions[0].What != "failed" || page.Actions[0].Run != ids[1] || page.Actions[0].Status != "pending" || page.Actions[0].NextAt == nil {
		t.Errorf("of one run: %+v", page)
	}
	var seen []string
	for path := "/api/v1/actions?limit=2&status=pending"; ; {
		page = actionsAnswer{}
		l.get(path).ok(t, &page)
		for _, a := range page.Actions {
			seen = append(seen, a.Run)
		}
		if page.NextCursor == 0 {
			break
		}
		path = "/api/v1/actions?limit=2&status=pending&cursor=" + strconv.FormatInt(page.NextCursor, 10)
	}
	if diff := cmp.Diff([]string{ids[2], ids[1], ids[0]}, seen); diff != "" {
		t.Error(diff)
	}
	l.get("/api/v1/actions?status=odd").problem(t, http.StatusBadRequest)
	l.get("/api/v1/runs/nobody%231/actions").problem(t, http.StatusNotFound)
}

func TestRetryOverHTTP(t *testing.T) {
	l := withNotifier(t)
	s := newSketch(t, "train", map[string]string{"team": "it's"}).command().finish(1)
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	retry := "/api/v1/runs/" + s.id + "/retry"
	p := l.do("POST", retry, nil).problem(t, http.StatusConflict)
	if !strings.Contains(p.Detail, "does not wait") || !strings.Contains(p.Detail, `stint run --job train`) || !strings.Contains(p.Detail, `--label 'team=it'\''s'`) {
		t.Errorf("detail: %s", p.Detail)
	}
	beat := func() job.HeartbeatReply {
		t.Helper()
		var r job.HeartbeatReply
		l.do("POST", "/api/v1/runs/"+s.id+"/attempts/1/heartbeat", []byte(`{"sequence":1,"waiting_ms":60000,"period_ms":5000}`)).ok(t, &r)
		return r
	}
	var offer struct {
		Run, Host, Command string
		Waits              bool
	}
	l.get(retry).ok(t, &offer)
	if offer.Waits || offer.Host != "h" || !strings.HasPrefix(offer.Command, "stint run --job train") {
		t.Errorf("while nobody waits: %+v", offer)
	}
	if r := beat(); len(r.Commands) != 0 || !r.Owner {
		t.Errorf("before anybody asked: %+v", r)
	}
	if l.get(retry).ok(t, &offer); !offer.Waits {
		t.Errorf("while the agent waits: %+v", offer)
	}
	var run job.Run
	l.do("POST", retry, []byte(`{"by":"ada","why":"once more"}`)).ok(t, &run)
	if run.State != job.Retrying {
		t.Errorf("run: %+v", run)
	}
	want := []job.Command{{Kind: "retry", By: "ada", Why: "once more", Attempt: 2}}
	if diff := cmp.Diff(want, beat().Commands); diff != "" {
		t.Error(diff)
	}
	active := newSketch(t, "train", nil).command()
	l.do("POST", journalPath(active.id, 1, 0), active.bytes()).ok(t, nil)
	if p := l.do("POST", "/api/v1/runs/"+active.id+"/retry", nil).problem(t, http.StatusConflict); strings.Contains(p.Detail, "stint run") {
		t.Errorf("beside a live attempt: %s", p.Detail)
	}
	// An attempt that comes too early is asked to come again.
	second := l.do("POST", journalPath(active.id, 2, 0), newAttempt(t, active.id, 2, "train", nil).bytes())
	second.problem(t, http.StatusServiceUnavailable)
	if second.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}
