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

// exact reports whether the whole log is wanted, byte for byte, so that the answer has a
// length, a tag and ranges.
func (q logQuery) exact(view job.Run) bool {
	return !q.ByLine() && q.All() && !q.gzip && len(logs.CutGaps(view.Output.Gaps, logs.Filter{})) == 0
}

// logTag names the bytes of a log. They never change; more of them make another tag.
func logTag(view job.Run) string {
	return fmt.Sprintf(`"%s.%d.%d"`, view.ID, view.Attempt, view.Output.Bytes)
}

// logRange reads the Range header of a request for the exact log. It returns false when
// all of it is to be sent: without a range, with one that is of another state of the log,
// and with several, which nobody needs.
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
			s.From = size // no byte is the last none
		}
	default:
		s.From, ferr = strconv.ParseInt(first, 10, 64)
		if last != "" {
			var to int64
			to, lerr = strconv.ParseInt(last, 10, 64)
			s.To = min(size, max(to, 0)+1)
			if lerr == nil && to < s.From {
				return all, false, nil // no range at all
			}
		}
	}
	if ferr != nil || lerr != nil {
		return all, false, nil
	}
	if s.From >= size {
		return s, false, httpio.NewProblem(http.StatusRequestedRangeNotSatisfiable, "the log has %d bytes, and none at %d", size, s.From)
	}
	return s, true, nil
}

// sendExact answers the whole log or a part of it. It reports what is still to be written.
func sendExact(w http.ResponseWriter, r *http.Request, view job.Run) (s logs.Span, done bool, err error) {
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
