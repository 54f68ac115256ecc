package importcmd

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// healthchecks plays a Healthchecks server. Healthchecks itself cannot be installed here: Debian has no package of it, and
// it needs a newer Django than Debian has. So this follows what its API does by hc/api/views.py (get_checks), hc/api/decorators.py
// (authorize_read, cors), hc/api/urls.py and hc/api/models.py (Check.to_dict) of version 4.4, and refuses what they refuse.
type healthchecks struct {
	t      *testing.T
	checks []map[string]any
	reads  atomic.Int64
}

// The keys of its project. A read-only key of an old project looks like one that may write.
const (
	writeKey    = "hcw_0123456789abcdefghijklmnopqr"
	readKey     = "hcr_0123456789abcdefghijklmnopqr"
	oldReadKey  = "0123456789abcdefghijklmnopqrstuv"
	firstUUID   = "0199aaaa-1111-4000-8000-000000000001"
	secondUUID  = "0199aaaa-2222-4000-8000-000000000002"
	channelUUID = "0199cccc-1111-4000-8000-000000000001"
)

// simple returns a check with a period, and cron one with a crontab expression, as they are before their first ping.
func simple(uuid, name, slug string, timeout, grace int, with map[string]any) map[string]any {
	c := map[string]any{
		"name": name, "slug": slug, "tags": "", "desc": "", "grace": grace, "n_pings": 0, "status": "new", "started": false,
		"last_ping": nil, "next_ping": nil, "manual_resume": false, "methods": "", "subject": "", "subject_fail": "", "start_kw": "", "success_kw": "",
		"failure_kw": "", "filter_subject": false, "filter_body": false, "filter_http_body": false, "filter_default_fail": false,
		"badge_url": "https://hc.example/b/2/" + uuid + ".svg", "uuid": uuid, "ping_url": "https://hc.example/ping/" + uuid,
		"update_url": "https://hc.example/api/v3/checks/" + uuid, "pause_url": "https://hc.example/api/v3/checks/" + uuid + "/pause",
		"resume_url": "https://hc.example/api/v3/checks/" + uuid + "/resume", "channels": "", "timeout": timeout,
	}
	maps.Copy(c, with)
	return c
}

func cron(uuid, name, slug, schedule, zone string, grace int, with map[string]any) map[string]any {
	c := simple(uuid, name, slug, 0, grace, map[string]any{"schedule": schedule, "tz": zone})
	delete(c, "timeout")
	maps.Copy(c, with)
	return c
}

// readOnly returns a check as a read-only key sees it.
func readOnly(c map[string]any) map[string]any {
	c = maps.Clone(c)
	for _, hidden := range []string{"uuid", "ping_url", "update_url", "pause_url", "resume_url", "channels"} {
		delete(c, hidden)
	}
	c["unique_key"] = "a6c7b0a8a66bed0df66abfdab3c77736861703ee"
	return c
}

func (h *healthchecks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.reads.Add(1)
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			h.t.Error(err)
		}
	}
	switch r.URL.Path {
	case "/api/v3/checks":
		http.Redirect(w, r, "/api/v3/checks/", http.StatusMovedPermanently)
		return
	case "/api/v3/checks/":
	default:
		http.Error(w, "<h1>Not Found</h1>", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet {
		h.t.Errorf("Healthchecks got %s %s: it must only be read", r.Method, r.URL)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	key := r.Header.Get("X-Api-Key")
	switch {
	case len(key) != 32:
		answer(http.StatusUnauthorized, map[string]string{"error": "missing api key"})
		return
	case key != writeKey && key != readKey && key != oldReadKey:
		answer(http.StatusUnauthorized, map[string]string{"error": "wrong api key"})
		return
	}
	checks := []map[string]any{}
	for _, c := range h.checks {
		if key != writeKey {
			c = readOnly(c)
		}
		checks = append(checks, c)
	}
	answer(http.StatusOK, map[string]any{"checks": checks})
}

// newHealthchecks starts a Healthchecks server, and returns its address.
func newHealthchecks(t *testing.T, checks ...map[string]any) (*healthchecks, string) {
	t.Helper()
	h := &healthchecks{t: t, checks: checks}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return h, s.URL
}
