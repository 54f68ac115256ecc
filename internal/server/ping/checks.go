package ping

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/due"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

const (
	// findTimeout and storeTimeout bound the two waits for the database: clients of this wire give up after
	// 5 s.
	findTimeout  = 2 * time.Second
	storeTimeout = 2500 * time.Millisecond
)

// Texts of answers, which are those of Healthchecks.
const (
	textOK        = "OK"
	textCreated   = "Created"
	textNotFound  = "not found"
	textAmbiguous = "ambiguous slug"
	textURL       = "invalid url format"
	textUUID      = "invalid uuid format"
)

// methods are those that ping.
const methods = "GET, HEAD, POST, PUT"

// checkPing is a ping.
type checkPing struct {
	signal
	target  due.Target
	created bool // the target is to be created
	host    string
	who     access.Caller
	body    *body
}

// PingUUID handles a ping with a UUID.
func (s *Ping) PingUUID(w http.ResponseWriter, r *http.Request) {
	s.handleCheck(w, r, r.PathValue("uuid"), "", "")
}

// PingSlug handles a ping with a key and a slug, or with a UUID and a signal.
func (s *Ping) PingSlug(w http.ResponseWriter, r *http.Request) {
	key, slug := r.PathValue("key"), r.PathValue("slug")
	if _, err := due.CanonicalUUID(key); err == nil {
		s.handleCheck(w, r, key, "", slug)
		return
	}
	s.handleCheck(w, r, key, slug, "")
}

// PingSignal handles a ping with a key, a slug and a signal.
func (s *Ping) PingSignal(w http.ResponseWriter, r *http.Request) {
	s.handleCheck(w, r, r.PathValue("key"), r.PathValue("slug"), r.PathValue("signal"))
}

// Options answers the question of a browser whether a page may ping. It is no ping.
func (s *Ping) Options(w http.ResponseWriter, _ *http.Request) {
	setCheckHeaders(w)
	w.Header().Set("Access-Control-Allow-Methods", methods)
	w.Header().Set("Access-Control-Allow-Headers", "*")
	w.WriteHeader(http.StatusNoContent)
}

func setCheckHeaders(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "no-store")
	h.Set("Ping-Body-Limit", strconv.Itoa(BodyLimit))
}

// handleCheck handles a ping with a UUID, or with a key and a slug.
func (s *Ping) handleCheck(w http.ResponseWriter, r *http.Request, key, slug, last string) {
	setCheckHeaders(w)
	p, err := s.readPing(r, key, slug, last)
	if err == nil {
		r = r.WithContext(access.WithCaller(r.Context(), p.who))
		p.body, err = s.readBody(w, r)
		_ = http.NewResponseController(w).SetWriteDeadline(httpio.ResponseDeadline())
		if err != nil {
			p.body.release()
		} else {
			err = s.store(r, p)
		}
	}
	switch {
	case err != nil:
		s.answerError(w, r, err)
	case p.created:
		answer(w, http.StatusCreated, textCreated)
	default:
		answer(w, http.StatusOK, textOK)
	}
}

func answer(w http.ResponseWriter, status int, text string) {
	httpio.WriteBody(w, "text/plain; charset=utf-8", status, []byte(text))
}

// answerError answers with the text of an error.
func (s *Ping) answerError(w http.ResponseWriter, r *http.Request, err error) {
	p := httpio.AsProblem(s.ProblemOf(r.Context(), "store a ping", err))
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	answer(w, p.Status, p.Detail)
}

// refuse returns an error with one of the texts of Healthchecks.
func refuse(status int, text string) error { return httpio.NewProblem(status, "%s", text) }

// readPing reads what a request pings, and what it says.
func (s *Ping) readPing(r *http.Request, key, slug, last string) (*checkPing, error) {
	p := &checkPing{host: access.ClientText(r)}
	var ok, valid bool
	if p.signal, ok, valid = signalOf(last); !ok {
		return nil, refuse(http.StatusNotFound, textNotFound)
	}
	if slug != strings.ToLower(slug) {
		return nil, refuse(http.StatusBadRequest, textURL)
	}
	ctx, cancel := context.WithTimeout(r.Context(), findTimeout)
	defer cancel()
	r = r.WithContext(ctx)
	values := r.URL.Query() // what cannot be parsed is ignored, as parameters of other names
	err := s.find(r, p, key, slug, values)
	switch {
	case err != nil:
		return nil, err
	case !valid:
		return nil, refuse(http.StatusBadRequest, textURL)
	case !values.Has("rid"):
		return p, nil
	}
	if p.rid, err = due.CanonicalUUID(values.Get("rid")); err != nil {
		return nil, refuse(http.StatusBadRequest, textUUID)
	}
	return p, nil
}

// find finds what is pinged. A UUID is a secret, and enough; a slug needs a key.
func (s *Ping) find(r *http.Request, p *checkPing, key, slug string, values url.Values) error {
	var err error
	if slug == "" {
		if p.who, err = s.Caller(r, ""); err != nil {
			return err
		}
		id, err := due.CanonicalUUID(key)
		if err != nil {
			return refuse(http.StatusNotFound, textNotFound)
		}
		found := false
		if p.target, found, err = s.Store.TargetByUUID(r.Context(), id); err == nil && !found {
			err = refuse(http.StatusNotFound, textNotFound)
		}
		return err
	}
	if p.who, err = s.Caller(r, key); err != nil {
		return err
	}
	found, err := s.Store.TargetsBySlug(r.Context(), slug)
	switch {
	case err != nil:
		return err
	case len(found) > 1:
		return refuse(http.StatusConflict, textAmbiguous)
	case len(found) == 1:
		p.target = found[0]
		return nil
	case values.Get("create") != "1" || due.CheckSlug(slug) != nil || job.CheckName(slug) != nil:
		return refuse(http.StatusNotFound, textNotFound)
	}
	rule, err := due.Parse(due.Created())
	p.created, p.target = true, due.Target{Job: slug, Rule: rule, ReportedDay: -1}
	return err
}

// store stores a ping. It answers in time also while the database is away: then the ping may be stored all the same,
// and the client repeats it.
func (s *Ping) store(r *http.Request, p *checkPing) error {
	if p.target.PostOnly && r.Method != http.MethodPost {
		p.body.release()
		return nil // accepted, and nothing
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	done := make(chan error, 1)
	s.pending.Go(func() {
		defer p.body.release()
		work, end := context.WithTimeout(context.WithoutCancel(ctx), 2*storeTimeout)
		defer end()
		done <- s.applyLocked(work, p)
	})
	defer cancel()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return httpio.Busy(http.StatusServiceUnavailable, time.Second, "the database did not respond in time: try again")
	}
}

// applyLocked applies a ping under the lock of its job, because two pings at the same time, also on different servers,
// would both read the state before them.
func (s *Ping) applyLocked(ctx context.Context, p *checkPing) error {
	unlock, err := s.Store.LockJob(ctx, p.target.Job)
	if err != nil {
		return err
	}
	defer unlock()
	now := s.Now()
	if err := s.applyCheck(ctx, p, now); err != nil {
		return fmt.Errorf("%s of job %s by a ping: %w", p.call, job.Quote(p.target.Job), err)
	}
	if !p.created {
		return nil
	}
	// After the run: a client that may create no further job has created nothing.
	return s.Store.PutDue(ctx, p.target.Job, api.DueRequest{Expectation: due.Created()}, cmp.Or(p.who.Name, "a ping"), now)
}

// applyCheck reads the last run with the rid of a ping, plans what follows, and writes it.
func (s *Ping) applyCheck(ctx context.Context, p *checkPing, now time.Time) error {
	wire := index.Wire{Name: wireChecks, RID: p.rid}
	last, err := s.Store.WireRun(ctx, p.target.Job, wire)
	if err != nil {
		return err
	}
	plan := planCheck(p.signal, last, p.target.IsPulse(now), now)
	if plan.endPrevious {
		if err := s.endRun(ctx, last.ID, now, previousOutcome(p.target.Job), nil); err != nil {
			return err
		}
	}
	switch {
	case plan.pulse:
		return s.Store.CountPulse(ctx, p.target.Job, p.body.beginning(pulseBody), now)
	case plan.begin:
		err = s.beginCheck(ctx, p, wire, plan, now)
	case plan.end != nil:
		err = s.endRun(ctx, last.ID, now, *plan.end, p.body)
	case plan.output:
		err = s.addOutput(ctx, last.ID, now, p.body)
	}
	if err != nil || plan.end == nil || !p.target.Rule.IsFrequent(now) {
		return err
	}
	return s.Store.NoteReported(ctx, p.target.Job, plan.end.State != job.Succeeded, now)
}

// pulseBody is how many bytes of the body of a ping are kept that is counted only.
const pulseBody = 10_000

// addOutput adds output to a run that goes on.
func (s *Ping) addOutput(ctx context.Context, run string, now time.Time, output *body) error {
	w, err := s.resume(ctx, run, now)
	if err != nil || w.ended {
		return err
	}
	if err := w.output(ctx, output); err != nil {
		return err
	}
	return w.flush(ctx)
}

// beginCheck begins a run, with its output and its end if the ping has them.
func (s *Ping) beginCheck(ctx context.Context, p *checkPing, wire index.Wire, plan checkPlan, now time.Time) error {
	id, own, err := s.runID(ctx, p.rid)
	if err != nil {
		return err
	}
	labels := map[string]string{}
	maps.Copy(labels, p.target.Labels)
	maps.Copy(labels, own) // wins
	length := checkLease(p.target.Rule.Grace)
	b := beginning{run: id, job: p.target.Job, host: p.host, wire: wire, version: index.PingsVersion, labels: labels, with: p.call, period: length}
	if plan.end == nil {
		b.expect = p.target.Rule.Grace
	}
	w, err := s.begin(b, now)
	if err != nil {
		return err
	}
	if err := w.output(ctx, p.body); err != nil {
		return err
	}
	if plan.end != nil {
		if err := w.end(*plan.end); err != nil {
			return err
		}
		return w.flush(ctx)
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	return s.beat(ctx, id, now, length, length)
}

// runID returns the id of a new run: the rid if no run has it, else a new one, and the rid as a label.
func (s *Ping) runID(ctx context.Context, rid string) (id string, labels map[string]string, err error) {
	if rid != "" {
		_, err := s.Store.Run(ctx, rid)
		var free *query.NotFoundError
		if errors.As(err, &free) {
			return rid, nil, nil
		}
		if err != nil {
			return "", nil, err
		}
		labels = map[string]string{ridLabel: rid}
	}
	made, err := uuid.NewV7()
	if err != nil {
		return "", nil, fmt.Errorf("make run id: %w", err)
	}
	return made.String(), labels, nil
}
