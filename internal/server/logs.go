package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Headers of a log's answer. Lines and bytes are of the whole log of the attempt at the
// time of the request, whatever part of it was asked for.
const (
	headerLogLines   = "Stint-Log-Lines"
	headerLogBytes   = "Stint-Log-Bytes"
	headerLogAttempt = "Stint-Log-Attempt"
	headerLogRun     = "Stint-Log-Run" // the whole id
)

const (
	// heldLines bounds what a log's reader holds back to put lines together.
	heldLines = 4 << 20
	// lookAhead is how much journal after the last line of a window is read for the rest
	// of lines that have not ended.
	lookAhead = 16 << 20
)

// getLog answers with what a run printed: the exact bytes, or a window of lines, as text
// or as NDJSON.
func (s *Server) getLog(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	q, err := parseLogQuery(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	view, err := s.attemptView(ctx, r.PathValue("run"), q.attempt)
	if err == nil {
		err = q.chooseStep(view)
	}
	var from int64
	if err == nil && q.window() {
		from, err = firstLine(ctx, s.store, view, q)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	logHeaders(w, view, q)
	part := span{0, view.Output.Bytes}
	switch encode := !q.gzip && !q.exactOnly(r) && wantsGzip(r); {
	case encode:
		w.Header().Set("Content-Encoding", "gzip")
		q.gzip = true
	case q.exact(view):
		var done bool
		if part, done, err = sendExact(w, r, view); err != nil || done {
			if err != nil {
				s.fail(w, r, err)
			}
			return
		}
	}
	if r.Method == http.MethodHead {
		return
	}
	out := newPatientWriter(w, s.cfg.WritePause)
	ctx, out.turn = s.withTurn(ctx)
	out.turn.take()
	defer out.turn.give()
	if err := s.sendLog(ctx, out, view, q, from, part); err != nil {
		s.breakOff(r, err)
	}
}

// sendLog writes the body of an answer.
func (s *Server) sendLog(ctx context.Context, w io.Writer, view job.Run, q logQuery, from int64, part span) error {
	buf := bufio.NewWriterSize(w, 64<<10)
	var body io.Writer = buf
	var z *gzip.Writer
	if q.gzip {
		z = gzipWriter(buf)
		body = z
	}
	var err error
	switch {
	case q.window():
		err = writeLines(ctx, s.store, body, view, q, from)
	case q.exact(view):
		err = writeSpan(ctx, s.store, body, view, part)
	default:
		err = writeRaw(ctx, s.store, body, view, q)
	}
	if err == nil && z != nil {
		err = z.Close()
	}
	if err != nil {
		return err
	}
	return buf.Flush()
}

// breakOff ends an answer that has begun and cannot be finished: the connection is cut,
// so that the client does not take a part for the whole.
func (s *Server) breakOff(r *http.Request, err error) {
	var gone *goneError
	switch {
	case errors.As(err, &gone), r.Context().Err() != nil:
	case asProblem(err).Status == http.StatusTooManyRequests: // as often as the client likes
		s.log.Debug("answer cut short", "path", r.URL.Path, "error", err)
	default:
		s.log.Error("answer cut short", "path", r.URL.Path, "error", err)
	}
	panic(http.ErrAbortHandler)
}

// attemptView finds a run by what a person calls it, as it stands for one attempt; 0 is
// the last one.
func (s *Server) attemptView(ctx context.Context, ref string, attempt int) (job.Run, error) {
	id, err := s.runID(ctx, ref)
	if err != nil {
		return job.Run{}, err
	}
	if attempt == 0 {
		return s.store.Run(ctx, id)
	}
	return s.store.RunAttempt(ctx, id, attempt)
}

// runID resolves {run} of a path.
func (s *Server) runID(ctx context.Context, ref string) (string, error) {
	parsed, err := job.ParseRef(ref)
	if err != nil {
		return "", err
	}
	return s.store.FindRun(ctx, parsed)
}

// logQuery is what was asked of a log.
type logQuery struct {
	outputFilter
	attempt  int // 0: the last
	fromLine int64
	lines    int64 // 0: all
	fromTime time.Time
	tail     int64 // -1: not asked for
	toTime   time.Time
	ndjson   bool
	download bool
	gzip     bool // compressed
}

// exactOnly reports whether the client asks for a part of the raw log or its tag, which
// belong to the plain bytes.
func (q logQuery) exactOnly(r *http.Request) bool {
	return r.Header.Get("Range") != "" || r.Header.Get("If-None-Match") != ""
}

// window reports whether lines are wanted, and not just bytes.
func (q logQuery) window() bool {
	return q.ndjson || q.fromLine > 0 || q.lines > 0 || q.tail >= 0 || !q.fromTime.IsZero() || !q.toTime.IsZero()
}

func parseLogQuery(r *http.Request) (logQuery, error) {
	p := newParams(r, "attempt", "step", "stream", "tail", "from_line", "lines", "from_time", "to_time", "download", "format")
	q := logQuery{
		outputFilter: p.filter(),
		attempt:      int(p.number("attempt", 1, job.MaxAttempt, 0)),
		fromLine:     p.number("from_line", 1, maxNumber, 0),
		lines:        p.number("lines", 1, maxNumber, 0),
		tail:         p.number("tail", 0, maxNumber, -1),
		fromTime:     p.time("from_time"),
		toTime:       p.time("to_time"),
		download:     p.truth("download", false),
		gzip:         p.values.Get("format") == "gzip",
		ndjson:       wantsNDJSON(r.Header.Get("Accept")),
	}
	if q.tail >= 0 && (q.fromLine > 0 || q.lines > 0 || !q.fromTime.IsZero() || !q.toTime.IsZero()) {
		p.refuse("tail counts from the end: it cannot be combined with from_line, lines, from_time or to_time")
	}
	if format := p.values.Get("format"); format != "" && format != "gzip" {
		p.refuse("format=%s: want gzip, or none", job.Quote(format))
	}
	if q.fromLine > 0 && !q.fromTime.IsZero() {
		p.refuse("from_line and from_time both say where to begin: give one of them")
	}
	return q, p.err
}

func wantsNDJSON(accept string) bool {
	return strings.Contains(accept, "application/x-ndjson") || strings.Contains(accept, "application/ndjson")
}

func logHeaders(w http.ResponseWriter, view job.Run, q logQuery) {
	h := w.Header()
	kind, ending := "text/plain; charset=utf-8", ".log"
	if q.ndjson {
		kind, ending = "application/x-ndjson", ".ndjson"
	}
	if q.gzip {
		kind, ending = "application/gzip", ending+".gz"
	}
	h.Set("Content-Type", kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept, Accept-Encoding")
	h.Set(headerLogLines, strconv.FormatInt(view.Output.Lines, 10))
	h.Set(headerLogBytes, strconv.FormatInt(view.Output.Bytes, 10))
	h.Set(headerLogRun, view.ID)
	h.Set(headerLogAttempt, strconv.Itoa(view.Attempt))
	if q.download {
		h.Set("Content-Disposition", `attachment; filename="`+fileName(view)+ending+`"`)
	}
}

// fileName is what a downloaded log is called, without anything that a header or a shell
// could misread.
func fileName(view job.Run) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, view.Job)
	return name + "-" + strconv.FormatInt(view.Number, 10) + "." + strconv.Itoa(view.Attempt)
}

// writeRaw writes the bytes that the attempt had printed when view was read, in journal
// order, block by block.
func writeRaw(ctx context.Context, store blockStore, w io.Writer, view job.Run, q logQuery) error {
	left := view.Output.Bytes
	c := cursor{store: store, run: view.ID, attempt: view.Attempt}
	for left > 0 {
		b, ok, err := c.next(ctx)
		if err != nil || !ok {
			return orShort(err, left)
		}
		if b.from == b.head.Start {
			left = view.Output.Bytes - b.head.OutputStart // less than it was when blocks were dropped
		}
		err = b.records(func(rec journal.Record, _ int64) error {
			if rec.Type != journal.TypeOutput {
				return nil
			}
			o, err := journal.DecodeOutput(rec)
			if err != nil {
				return err
			}
			data := o.Data[:min(int64(len(o.Data)), left)]
			left -= int64(len(data))
			if q.match(o.Step, o.Stream) {
				if _, err := w.Write(data); err != nil {
					return err
				}
			}
			if left == 0 {
				return errStop
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// errMissing says that the store holds less output than it counted.
var errMissing = errors.New("stored blocks end before the output that was counted")

func orShort(err error, left int64) error {
	if err == nil && left > 0 {
		return errMissing
	}
	return err
}

// outputFilter chooses streams; the zero value is all of them.
type outputFilter struct {
	step   string // index or name as given; empty for all
	stream job.Stream
	steps  []int // what step stands for
}

func (f outputFilter) all() bool { return f.step == "" && f.stream == "" }

func (f outputFilter) match(step int, stream job.Stream) bool {
	if f.stream != "" && f.stream != stream {
		return false
	}
	return f.step == "" || slices.Contains(f.steps, step)
}

// learn takes note of a step that has begun.
func (f *outputFilter) learn(index int, name string) {
	if f.step != "" && (f.step == name || f.step == strconv.Itoa(index)) && !slices.Contains(f.steps, index) {
		f.steps = append(f.steps, index)
	}
}

// chooseStep resolves the step that was asked for, by index or name.
func (f *outputFilter) chooseStep(view job.Run) error {
	if f.step == "" {
		return nil
	}
	for _, step := range view.Steps {
		f.learn(step.Index, step.Name)
	}
	if len(f.steps) == 0 {
		return &query.NotFoundError{What: "step " + job.Quote(f.step) + " of run " + view.ID}
	}
	return nil
}
