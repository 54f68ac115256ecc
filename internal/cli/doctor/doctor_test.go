package doctor

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/job"
)

func wantFinding(t *testing.T, got Finding, level string, parts ...string) {
	t.Helper()
	if got.Level != level {
		t.Errorf("%+v is not %s", got, level)
	}
	if got.Level != "ok" && got.Do == "" {
		t.Errorf("%+v does not say what to do", got)
	}
	for _, part := range parts {
		if !strings.Contains(got.Detail, part) {
			t.Errorf("%+v does not say %q", got, part)
		}
	}
}

func TestCheckTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	cert := s.Certificate()
	known, now := x509.NewCertPool(), time.Now()
	known.AddCert(cert)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	until := cert.NotAfter.UTC().Format("2006-01-02")
	ctx := t.Context()
	wantFinding(t, checkTLS(ctx, s.URL, known, now), "ok", "valid until "+until, "Acme Co")
	wantFinding(t, checkTLS(ctx, s.URL, x509.NewCertPool(), now), "error", "issued by", "does not trust")
	wantFinding(t, checkTLS(ctx, s.URL, known, cert.NotAfter.Add(-time.Hour)), "warning", "only until "+until)
	wantFinding(t, checkTLS(ctx, s.URL, known, cert.NotAfter.Add(time.Hour)), "error", "expired on "+until)
	wantFinding(t, checkTLS(ctx, s.URL, known, cert.NotBefore.Add(-time.Hour)), "error", "valid only from")
	wantFinding(t, checkTLS(ctx, "https://localhost:"+u.Port(), known, now), "error", "example.com and not for localhost")
	wantFinding(t, checkTLS(ctx, "http://127.0.0.1:7846", nil, now), "ok", "not needed")
	wantFinding(t, checkTLS(ctx, "http://[::1]:7846", nil, now), "ok", "not needed")
	wantFinding(t, checkTLS(ctx, "http://stint.example.com", nil, now), "warning", "unencrypted")
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	wantFinding(t, checkTLS(ctx, "https"+strings.TrimPrefix(plain.URL, "http"), nil, now), "warning", "cannot be checked")
}

func TestTokenFinding(t *testing.T) {
	refused := func(status int, text string) error {
		return &job.Problem{Status: status, Title: "refused", Detail: text}
	}
	unauthorized, forbidden := refused(401, "the token is not valid on this server"), refused(403, `the token "x" has the scope read`)
	cases := []struct {
		name          string
		given         bool
		deliver, read error
		level, detail string
	}{
		{"no token and none wanted", false, nil, nil, "ok", "accepts this host without one"},
		{"no token and one wanted", false, unauthorized, nil, "error", ""},
		{"unknown token", true, unauthorized, nil, "error", "not valid on this server"},
		{"a reader's token", true, forbidden, nil, "error", "scope read"},
		{"an agent's token", true, nil, forbidden, "ok", "scope agent"},
		{"an admin's token", true, nil, nil, "warning", "scope admin"},
		{"reading fails", true, nil, errors.New("away"), "ok", "away"},
		{"server away", true, errors.New("away"), nil, "warning", "not checked"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			wantFinding(t, tokenFinding(tc.given, tc.deliver, tc.read), tc.level, tc.detail)
		})
	}
}

func TestFilesFinding(t *testing.T) {
	wantFinding(t, filesFinding(256), "warning", "256 open files")
	wantFinding(t, filesFinding(1<<20), "ok", "1048576")
}

func TestSpaceFinding(t *testing.T) {
	if got := spaceFinding(t.TempDir()); !strings.Contains(got.Detail, " free") || got.Check != "state" {
		t.Errorf("%+v", got)
	}
	wantFinding(t, spaceFinding("/no/such/directory"), "ok", "can be written")
}

func TestRuntimeFindings(t *testing.T) {
	const none = 1<<64 - 1
	for _, tc := range []struct {
		space, most, used uint64
		levels            string
		detail            string
	}{
		{none, none, 0, "ok", "suffice"},
		{2e9, 100, 84, "ok", "suffice"},
		{500_000 << 10, none, 0, "error", "limited to 488 MiB (ulimit -v"},
		{none, 100, 85, "error", "at most 100 processes and threads of this user (ulimit -u, RLIMIT_NPROC) 15 are left"},
		{none, 8, 20, "error", "0 are left"},
		{1e9, 8, 0, "error error", "8 are left"},
	} {
		found := runtimeFindings(tc.space, tc.most, tc.used)
		var levels []string
		for _, f := range found {
			levels = append(levels, f.Level)
			wantFinding(t, f, f.Level)
		}
		if got := found[len(found)-1]; strings.Join(levels, " ") != tc.levels || !strings.Contains(got.Detail, tc.detail) {
			t.Errorf("%+v: %+v", tc, found)
		}
	}
}

// Doctor reports what the requested level lacks, not what the host could do.
func TestDoctorAtALowerLevel(t *testing.T) {
	found := checkContainment(process.Options{
		Run: noRun, Attempt: 1, AtMost: contain.LevelProcessGroup,
		MemoryLimitBytes: 50 << 20, MemoryLimitName: "--memory-limit 50M", CPULimitName: "--cpu-limit",
	})
	if len(found) != 3 || found[0].Detail != "jobs are contained by process_group, the best that --containment allows" || found[0].Do != "" {
		t.Errorf("%+v", found)
	}
	for i, name := range []string{"--memory-limit 50M", "--cpu-limit"} {
		if f := found[i+1]; f.Detail != name+" is not enforced: cgroups are not used, because of --containment" {
			t.Errorf("%+v", f)
		}
	}
}
