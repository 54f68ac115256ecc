package logs

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"stint.dev/stint/internal/logs"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
)

// isExact reports whether the whole log is requested byte for byte, so that the response has a length, an
// ETag and ranges.
func (q logQuery) isExact(view job.Run) bool {
	return !q.ByLine() && q.All() && !q.gzip && len(logs.CutGaps(view.Output.Gaps, logs.Filter{})) == 0
}

// logTag returns the ETag of a log. Bytes are only added to a log, so its size identifies them.
func logTag(view job.Run) string {
	return fmt.Sprintf(`"%s.%d.%d"`, view.ID, view.Attempt, view.Output.Bytes)
}

// logRange returns the range that a request for the exact log asks for. partial is false if all of the
// log is to be sent: without a range, with several, or if the log has changed since If-Range.
func logRange(r *http.Request, view job.Run) (s logs.Span, partial bool, err error) {
	size := view.Output.Bytes
	all := logs.Span{To: size}
	text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	if tag := r.Header.Get("If-Range"); !ok || strings.Contains(text, ",") || tag != "" && tag != logTag(view) {
		return all, false, nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(text), "-")
	if !ok {
		return all, false, nil
	}
	s = all
	var ferr, lerr error
	switch {
	case first == "":
		var n int64
		n, lerr = strconv.ParseInt(last, 10, 64)
		s.From = max(0, size-n)
		if n <= 0 {
			s.From = size // the last 0 bytes are an unsatisfiable range
		}
	default:
		s.From, ferr = strconv.ParseInt(first, 10, 64)
		if last != "" {
			var to int64
			to, lerr = strconv.ParseInt(last, 10, 64)
			s.To = min(size, max(to, 0)+1)
			if lerr == nil && to < s.From {
				return all, false, nil // an invalid range is ignored
			}
		}
	}
	if ferr != nil || lerr != nil {
		return all, false, nil
	}
	if s.From >= size {
		return s, false, httpio.NewProblem(http.StatusRequestedRangeNotSatisfiable, "the log has %d bytes: there is none at offset %d", size, s.From)
	}
	return s, true, nil
}

// writeExactHeaders writes the headers of a response with the whole log or a part of it, and returns the
// part that is to be written; done reports that there is none.
func writeExactHeaders(w http.ResponseWriter, r *http.Request, view job.Run) (s logs.Span, done bool, err error) {
	h := w.Header()
	h.Set("Accept-Ranges", "bytes")
	h.Set("ETag", logTag(view))
	if match := r.Header.Get("If-None-Match"); match == "*" || strings.Contains(match, logTag(view)) {
		w.WriteHeader(http.StatusNotModified)
		return logs.Span{}, true, nil
	}
	s, partial, err := logRange(r, view)
	if err != nil {
		h.Set("Content-Range", "bytes */"+strconv.FormatInt(view.Output.Bytes, 10))
		return s, false, err
	}
	h.Set("Content-Length", strconv.FormatInt(s.To-s.From, 10))
	if partial {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", s.From, s.To-1, view.Output.Bytes))
		w.WriteHeader(http.StatusPartialContent)
	}
	return s, false, nil
}
