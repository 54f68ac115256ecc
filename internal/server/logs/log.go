package logs

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"

	"stint.dev/stint/internal/logs"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
)

// Headers of a response with a log. Lines and bytes are those of the attempt's whole log at the time of
// the request, also if the response has a part of it.
const (
	headerLogLines   = "Stint-Log-Lines"
	headerLogBytes   = "Stint-Log-Bytes"
	headerLogAttempt = "Stint-Log-Attempt"
	headerLogRun     = "Stint-Log-Run" // the whole id
)

// GetLog responds with the log of a run: its exact bytes, or some of its lines as text or NDJSON.
func (s *Logs) GetLog(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	q, err := parseLogQuery(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	view, err := s.FindAttempt(ctx, r.PathValue("run"), q.attempt)
	if err == nil {
		err = q.ChooseStep(view)
	}
	var from int64
	if err == nil && q.ByLine() {
		from, err = logs.FirstLine(ctx, s.Store, view, q.Window)
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	setLogHeaders(w, view, q)
	part := logs.Span{To: view.Output.Bytes}
	switch encode := !q.gzip && !needsPlain(r) && httpio.WantsGzip(r); {
	case encode:
		w.Header().Set("Content-Encoding", "gzip")
		q.gzip = true
	case q.isExact(view):
		var done bool
		if part, done, err = writeExactHeaders(w, r, view); err != nil || done {
			if err != nil {
				s.Fail(w, r, err)
			}
			return
		}
	}
	if r.Method == http.MethodHead {
		return
	}
	out := httpio.NewWriter(w, s.WriteTimeout)
	ctx, out.Turn = httpio.WithTurn(ctx, s.Turns)
	out.Turn.Take()
	defer out.Turn.Release()
	if err := s.writeLog(ctx, out, view, q, from, part); err != nil {
		s.Abort(r, err)
	}
}

// writeLog writes the body of a response.
func (s *Logs) writeLog(ctx context.Context, w io.Writer, view job.Run, q logQuery, from int64, part logs.Span) error {
	buf := bufio.NewWriterSize(w, 64<<10)
	var body io.Writer = buf
	var z *gzip.Writer
	if q.gzip {
		z = httpio.GzipWriter(buf)
		body = z
	}
	var err error
	switch {
	case q.ByLine():
		err = logs.WriteLines(ctx, s.Store, body, view, q.Window, from)
	case q.isExact(view):
		err = logs.WriteSpan(ctx, s.Store, body, view, part)
	default:
		err = logs.WriteRaw(ctx, s.Store, body, view, q.Filter)
	}
	if err == nil && z != nil {
		err = z.Close()
	}
	if err != nil {
		return err
	}
	return buf.Flush()
}

// logQuery has the parameters of a request for a log.
type logQuery struct {
	logs.Window
	attempt  int // 0 for the last
	download bool
	gzip     bool // the response is compressed
}

// needsPlain reports whether a request has a range or an ETag, which refer to the uncompressed log.
func needsPlain(r *http.Request) bool {
	return r.Header.Get("Range") != "" || r.Header.Get("If-None-Match") != ""
}

// parseLogQuery parses the parameters of a request for a log.
func parseLogQuery(r *http.Request) (logQuery, error) {
	p := httpio.NewParams(r, "attempt", "step", "stream", "tail", "from_line", "lines", "from_time", "to_time", "download", "format")
	q := logQuery{
		Window: logs.Window{
			Filter:   p.Filter(),
			FromLine: p.Number("from_line", 1, httpio.MaxNumber, 0),
			Lines:    p.Number("lines", 1, httpio.MaxNumber, 0),
			Tail:     p.Number("tail", 0, httpio.MaxNumber, -1),
			FromTime: p.Time("from_time"),
			ToTime:   p.Time("to_time"),
			NDJSON:   wantsNDJSON(r.Header.Get("Accept")),
		},
		attempt:  int(p.Number("attempt", 1, job.MaxAttempt, 0)),
		download: p.Bool("download", false),
		gzip:     p.Values.Get("format") == "gzip",
	}
	if q.Tail >= 0 && (q.FromLine > 0 || q.Lines > 0 || !q.FromTime.IsZero() || !q.ToTime.IsZero()) {
		p.Refuse("tail counts from the end: it cannot be combined with from_line, lines, from_time or to_time")
	}
	if format := p.Values.Get("format"); format != "" && format != "gzip" {
		p.Refuse("format=%s: want gzip, or none", job.Quote(format))
	}
	if q.FromLine > 0 && !q.FromTime.IsZero() {
		p.Refuse("from_line and from_time both set the beginning: send one of them")
	}
	return q, p.Err
}

func wantsNDJSON(accept string) bool {
	return strings.Contains(accept, "application/x-ndjson") || strings.Contains(accept, "application/ndjson")
}

// setLogHeaders sets the headers of a response with a log.
func setLogHeaders(w http.ResponseWriter, view job.Run, q logQuery) {
	h := w.Header()
	kind, ending := "text/plain; charset=utf-8", ".log"
	if q.NDJSON {
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

// fileName returns the name of a downloaded log, without characters that are special in a header or a
// shell.
func fileName(view job.Run) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, view.Job)
	return name + "-" + strconv.FormatInt(view.Number, 10) + "." + strconv.Itoa(view.Attempt)
}
