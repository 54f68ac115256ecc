package server_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// jsonFields are the names of the fields of a struct in JSON, with those behind pointers as
// "outer.inner".
func jsonFields(of reflect.Type) []string {
	var names []string
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		inner := of.Field(i).Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]() {
			for _, one := range jsonFields(inner) {
				names = append(names, name+"."+one)
			}
			continue
		}
		names = append(names, name)
	}
	return names
}

// Whatever a field of a heartbeat contains, the heartbeat is refused, or its figures are
// bounded so that every run can be judged, also this one.
func TestExtremeFiguresInHeartbeats(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{Now: c.now})
	values := []string{
		`1e306`, `-1e306`, `1.7976931348623157e308`, `9223372036854775807`, `-9223372036854775808`, `-1`, `0`, `null`,
		`""`, `"NaN"`, `NaN`, `Infinity`, `1e999`, `"9999-12-31T23:59:59-23:59"`, `"0000-01-01T00:00:00Z"`, `{}`, `[]`,
	}
	type given struct{ id, field, value string }
	var taken []given
	for _, field := range jsonFields(reflect.TypeFor[job.Heartbeat]()) {
		for _, value := range values {
			s := newSketch(t, "figures", nil).command()
			l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
			body := value
			outer, inner, nested := strings.Cut(field, ".")
			if nested {
				body = fmt.Sprintf(`{%q:%s}`, inner, value)
			}
			body = fmt.Sprintf(`{"sequence":7,"uptime_ms":5000,"processes":1,"memory_bytes":1000,%q:%s}`, outer, body)
			for range 2 {
				switch got := l.do("POST", beatPath(s.id, 1), []byte(body)); got.status {
				case http.StatusOK:
				case http.StatusBadRequest:
					got.problem(t, http.StatusBadRequest)
				default:
					t.Errorf("%s: %s: status %d", field, value, got.status)
				}
				c.add(time.Millisecond)
			}
			taken = append(taken, given{s.id, field, value})
		}
	}
	silent := newSketch(t, "silent", nil).command()
	l.do("POST", journalPath(silent.id, 1, 0), silent.bytes()).ok(t, nil)

	c.add(time.Hour) // all stall, and all are silent
	for _, g := range taken {
		l.get("/api/v1/runs/"+g.id+"/explain").ok(t, nil)
	}
	leases, err := l.store.Due(t.Context(), c.now().Add(time.Hour), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	var verdicts []lease.Verdict
	for _, active := range leases {
		active.Evidence = rules.Current(active)
		active.Evidence.At = c.now() // a heartbeat just now, and nothing moved for an hour
		active.ExpiresAt = c.now().Add(time.Minute)
		v, changed := rules.Judge(active, active.ReportedAt.Add(time.Millisecond), rules.Circumstances{}, policy.Default())
		if changed {
			verdicts = append(verdicts, v)
		}
		verdicts = append(verdicts, lease.Verdict{Run: active.Run, Attempt: 1, ReportedAt: active.ReportedAt, At: c.now(), Lost: true, Evidence: "It is silent."})
	}
	if _, err := l.store.Judge(t.Context(), verdicts); err != nil {
		t.Fatal(err)
	}
	items, err := l.store.Troubled(t.Context(), 10)
	if err != nil || len(items) > 0 {
		t.Errorf("%v; verdicts that cannot be stored: %+v", err, items)
	}
	for _, id := range []string{silent.id, taken[0].id, taken[len(taken)-1].id} {
		if run := l.run(id); run.State != job.Lost {
			t.Errorf("run %s is %s, want lost", id, run.State)
		}
	}
}

// The same for the journal: an append is refused, or its content can be
// stored and shown.
func TestExtremeFiguresInJournals(t *testing.T) {
	l := start(t, server.Config{})
	for _, tt := range []struct {
		kind  journal.Type
		times int
		body  string
	}{
		{journal.TypeSample, 2, `{"cpu_seconds":1e306,"cpu_cores":-1e306,"memory_bytes":9223372036854775807,"threads":-9,"pressure":{"cpu":1e306},"gpus":[{"index":-1,"utilization_percent":1e306,"memory_bytes":-5}]}`},
		{journal.TypeSample, 2, `{"at":"9999-12-31T23:59:59-23:59","read_bytes":-9223372036854775808,"write_bytes":9223372036854775807}`},
		{journal.TypeSample, 2, `{}`},
		{journal.TypeSample, 2, `{"cpu_seconds":NaN}`},
		{journal.TypeGap, 2, `{"stream":"stdout","bytes":9223372036854775807,"lines":9223372036854775807,"at_bytes":9223372036854775807}`},
		{journal.TypeStepStarted, 1, `{"index":9223372036854775807,"kind":"install","pid":-1}`},
		{journal.TypeStepEnded, 1, `{"index":0,"outcome":{"state":"failed","exit_code":-9223372036854775808}}`},
		{journal.TypeOutcome, 1, `{"outcome":{"state":"failed","reason":"out_of_memory","exit_code":9223372036854775807,"retry_at":"9999-12-31T23:59:59-23:59","oom":{"limit_bytes":-1,"peak_bytes":9223372036854775807,"at":"0000-01-01T00:00:00Z"}},"usage":{"cpu_seconds":1e306,"processes":-3}}`},
	} {
		t.Run(tt.kind.String()+" "+tt.body, func(t *testing.T) {
			l.t = t
			s := newSketch(t, "figures", nil).command()
			for range tt.times {
				if err := s.w.Append(journal.Record{Type: tt.kind, At: s.at, Payload: []byte(tt.body)}); err != nil {
					t.Fatal(err)
				}
			}
			got := l.do("POST", journalPath(s.id, 1, 0), s.bytes())
			if got.status == http.StatusUnprocessableEntity {
				return
			}
			got.ok(t, nil)
			run := l.run(s.id)
			if u := run.Usage; u.CPUSeconds > 1e12 || u.PeakMemoryBytes > job.MaxBytes || u.Processes < 0 || u.WrittenBytes > job.MaxBytes {
				t.Errorf("usage %+v", u)
			}
			if o := run.Outcome; o != nil && o.RetryAt != nil && o.RetryAt.After(run.EndedAt.Add(job.MaxRetryPause)) {
				t.Errorf("another attempt is due at %s, and this one ended at %s", o.RetryAt, run.EndedAt)
			}
			for _, path := range []string{"/samples", "/explain", "/events", "/band"} {
				l.get("/api/v1/runs/"+s.id+path).ok(t, nil)
			}
		})
	}
}
