package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// hook is a receiver that verifies what it is sent.
type hook struct {
	t      *testing.T
	mu     sync.Mutex
	signer *standardwebhooks.Webhook
	texts  []string // title and text of each message
	ids    map[string]bool
	down   bool
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if err := h.signer.Verify(body, r.Header); err != nil {
		h.t.Error(err)
	}
	var m struct{ Data struct{ Title, Text string } }
	if err := json.Unmarshal(body, &m); err != nil {
		h.t.Error(err)
	}
	if id := r.Header.Get("webhook-id"); h.ids[id] {
		h.t.Errorf("%s came twice", id)
	} else {
		h.ids[id] = true
	}
	h.texts = append(h.texts, m.Data.Title+"\n"+m.Data.Text)
}

func (h *hook) received() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.texts, "\n")
}

// A receiver that is down while runs fail and recover receives each once, in order and signed;
// a failure that is tried again in place is notified when it is over.
func TestNotificationsOfRealRuns(t *testing.T) {
	s := startServer(t, "--allow-private-targets")
	a := newHost(t)
	h := &hook{t: t, ids: map[string]bool{}, down: true}
	receiver := httptest.NewServer(h)
	defer receiver.Close()
	set := a.run("notify", "set", "--server", s.url, "--url", receiver.URL, "--json", "team")
	var route struct{ Secret string }
	if err := json.Unmarshal([]byte(set.stdout), &route); err != nil || set.code != 0 {
		t.Fatalf("%+v: %v", set, err)
	}
	var err error
	if h.signer, err = standardwebhooks.NewWebhook(route.Secret); err != nil {
		t.Fatal(err)
	}
	a.run("run", "--server", s.url, "--job", "train", "-c", "echo the reason; exit 3")
	a.run("run", "--server", s.url, "--job", "train", "-c", "true")
	flaky := a.run("run", "--server", s.url, "--job", "flaky", "--retries", "2", "--retry-backoff", "10ms", "-c", `test "$STINT_ATTEMPT" = 3`)
	if flaky.code != 0 || !strings.Contains(flaky.stderr, "Attempt 3 begins") {
		t.Errorf("flaky: %+v", flaky)
	}
	a.run("run", "--server", s.url, "--job", "hopeless", "--retries", "1", "--retry-backoff", "10ms", "-c", "exit 9")
	if failed := a.run("notify", "test", "--server", s.url, "team"); failed.code != 1 || !strings.Contains(failed.stderr, "502") {
		t.Errorf("a test while it is down: %+v", failed)
	}
	s.kill() // nothing is lost with the server either
	s.start("--allow-private-targets")
	h.mu.Lock()
	h.down = false
	h.mu.Unlock()
	// What had waited when the server began is one message.
	eventually(t, "everything was received", func() bool { return strings.Contains(h.received(), "hopeless") })
	texts := h.received()
	for want, times := range map[string]int{"Exited with code 3.": 1, "Succeeded again": 1, "Exited with code 9.": 1, s.url + "/runs/": 3} {
		if n := strings.Count(texts, want); n != times {
			t.Errorf("%q was received %d times, want %d: %s", want, n, times, texts)
		}
	}
	if strings.Contains(texts, "flaky") || strings.Index(texts, "train #1") > strings.Index(texts, "train #2") {
		t.Errorf("received: %s", texts)
	}
	if retry := a.run("retry", "--server", s.url, "hopeless#1"); retry.code != 1 || !strings.Contains(retry.stderr, "stint run --job hopeless") {
		t.Errorf("retry: %+v", retry)
	}
	acknowledge := func(code int, flags ...string) result {
		t.Helper()
		got := a.run(append([]string{"acknowledge", "--server", s.url, "hopeless#1"}, flags...)...)
		if got.code != code {
			t.Errorf("acknowledge %q: %+v", flags, got)
		}
		return got
	}
	shows := func() bool {
		t.Helper()
		shown := a.run("show", "--server", s.url, "hopeless#1")
		return shown.code == 0 && strings.Contains(shown.stdout, "acknowledged") && strings.Contains(shown.stdout, "on it")
	}
	if got := acknowledge(0, "--json", "--why", "on it"); !strings.Contains(got.stdout, `"why": "on it"`) || !shows() {
		t.Errorf("acknowledged: %+v, shown %t", got, shows())
	}
	acknowledge(2, "--undo", "--why", "a mistake")
	if got := acknowledge(0, "--undo"); !strings.Contains(got.stdout, "hopeless#1 is no longer acknowledged") || shows() {
		t.Errorf("undone: %+v, shown %t", got, shows())
	}
	if log := a.run("notify", "log", "--server", s.url, "--json", "train#1"); log.code != 0 || !strings.Contains(log.stdout, `"done"`) {
		t.Errorf("log: %+v", log)
	}
}
