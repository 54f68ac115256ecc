package croncmd

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func TestDue(t *testing.T) {
	h := newTestHost(t)
	h.localtime = filepath.Join(h.dir, "etc/localtime")
	h.write("etc/.keep", "")
	if err := os.Symlink("/usr/share/zoneinfo/Europe/Berlin", h.localtime); err != nil {
		t.Fatal(err)
	}
	h.write("spool/me", "SHELL=/x/stint-sh\n0 3 * * * backup\n@daily report\n@reboot serve\n0 1 * * 1 twice\n0 2 * * 2 twice\n0 4 * * * stint run -- x\n"+
		"CRON_TZ=Asia/Tokyo\n-5 5 * * * tokyo\nSHELL=/bin/sh\n0 6 * * * left\n")
	asked := map[string]job.Expectation{}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /api/v1/jobs/{job}/due", func(w http.ResponseWriter, r *http.Request) {
		var e job.Expectation
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		asked[r.PathValue("job")] = e
		clitest.Answer(t, w, api.JobDue{Due: api.Due{Expectation: e, State: api.DueNew}})
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	stdout, stderr, err := h.run("due", "--dry-run", "--server", server.URL)
	if err != nil || len(asked) > 0 || !strings.Contains(stdout, "not set") {
		t.Fatalf("--dry-run: %s, %s, %v, %v", stdout, stderr, err, asked)
	}
	stdout, stderr, err = h.run("due", "--grace", "5m", "--server", server.URL)
	if err != nil || !strings.Contains(stdout, "new") {
		t.Fatalf("%s, %s, %v", stdout, stderr, err)
	}
	want := map[string]job.Expectation{
		"backup": {Cron: "0 3 * * *", Zone: "Europe/Berlin", GraceSeconds: 300},
		"report": {Cron: "@daily", Zone: "Europe/Berlin", GraceSeconds: 300},
		"tokyo":  {Cron: "5 5 * * *", Zone: "Asia/Tokyo", GraceSeconds: 300},
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	for _, says := range []string{"serve is not expected: ", "twice is not expected: it has 2 lines of different times"} {
		if !strings.Contains(stderr, says) {
			t.Errorf("%q is not in %s", says, stderr)
		}
	}
	clear(asked)
	if _, _, err := h.run("due", "--zone", "UTC", "--json", "--server", server.URL); err != nil || asked["tokyo"].Zone != "UTC" || asked["backup"].Zone != "UTC" {
		t.Errorf("--zone: %v, %v", asked, err)
	}
	if _, _, err := h.run("due", "--grace", "1s", "--server", server.URL); err == nil || !strings.Contains(err.Error(), "--grace") {
		t.Errorf("--grace 1s: %v", err)
	}
}

func TestZoneOfTheHost(t *testing.T) {
	h := newTestHost(t)
	h.localtime = filepath.Join(h.dir, "localtime")
	if zone, err := h.zone(); zone != "UTC" || err != nil {
		t.Errorf("without a file: %q, %v", zone, err)
	}
	h.write("localtime", "TZif")
	if _, err := h.zone(); err == nil || !strings.Contains(err.Error(), "--zone") {
		t.Errorf("a file: %v", err)
	}
}
