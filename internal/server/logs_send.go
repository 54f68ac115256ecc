package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// exact reports whether the whole log is wanted, byte for byte, so that the answer has a
// length, a tag and ranges.
func (q logQuery) exact(view job.Run) bool {
	return !q.window() && q.outputFilter.all() && !q.gzip && len(cutGaps(view.Output.Gaps, outputFilter{})) == 0
}

// logTag names the bytes of a log. They never change; more of them make another tag.
func logTag(view job.Run) string {
	return fmt.Sprintf(`"%s.%d.%d"`, view.ID, view.Attempt, view.Output.Bytes)
}

// span is a part of the raw log; bytes count from 0, to is behind the last.
type span struct{ from, to int64 }

// logRange reads the Range header of a request for the exact log. It returns false when
// all of it is to be sent: without a range, with one that is of another state of the log,
// and with several, which nobody needs.
func logRange(r *http.Request, view job.Run) (s span, partial bool, err error) {
	size := view.Output.Bytes
	all := span{0, size}
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
		s.from = max(0, size-n)
		if n <= 0 {
			s.from = size // no byte is the last none
		}
	default:
		s.from, ferr = strconv.ParseInt(first, 10, 64)
		if last != "" {
			var to int64
			to, lerr = strconv.ParseInt(last, 10, 64)
			s.to = min(size, max(to, 0)+1)
			if lerr == nil && to < s.from {
				return all, false, nil // no range at all
			}
		}
	}
	if ferr != nil || lerr != nil {
		return all, false, nil
	}
	if s.from >= size {
		return s, false, newProblem(http.StatusRequestedRangeNotSatisfiable, "the log has %d bytes, and none at %d", size, s.from)
	}
	return s, true, nil
}

// sendExact answers the whole log or a part of it. It reports what is still to be written.
func sendExact(w http.ResponseWriter, r *http.Request, view job.Run) (s span, done bool, err error) {
	h := w.Header()
	h.Set("Accept-Ranges", "bytes")
	h.Set("ETag", logTag(view))
	if match := r.Header.Get("If-None-Match"); match == "*" || strings.Contains(match, logTag(view)) {
		w.WriteHeader(http.StatusNotModified)
		return span{}, true, nil
	}
	s, partial, err := logRange(r, view)
	if err != nil {
		h.Set("Content-Range", "bytes */"+strconv.FormatInt(view.Output.Bytes, 10))
		return s, false, err
	}
	h.Set("Content-Length", strconv.FormatInt(s.to-s.from, 10))
	if partial {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", s.from, s.to-1, view.Output.Bytes))
		w.WriteHeader(http.StatusPartialContent)
	}
	return s, false, nil
}

// writeSpan writes a part of the raw log. It reads no block that is not in it.
func writeSpan(ctx context.Context, store blockStore, w io.Writer, view job.Run, s span) error {
	if s.from >= s.to {
		return nil
	}
	start := int64(0)
	if s.from > 0 {
		head, err := blockAt(ctx, store, view, s.from)
		if err != nil {
			return err
		}
		start = head.Start
	}
	c := cursor{store: store, run: view.ID, attempt: view.Attempt, pos: start}
	at := int64(-1) // output before what is read next
	for at < s.to {
		b, ok, err := c.next(ctx)
		if err != nil || !ok {
			return orShort(err, s.to-at)
		}
		if at < 0 { // the block may have been merged since it was looked for
			b.from, at = b.head.Start, b.head.OutputStart
		}
		err = b.records(func(rec journal.Record, _ int64) error {
			if rec.Type != journal.TypeOutput {
				return nil
			}
			o, err := journal.DecodeOutput(rec)
			if err != nil {
				return err
			}
			low, high := max(s.from-at, 0), min(s.to-at, int64(len(o.Data)))
			at += int64(len(o.Data))
			if low < high {
				_, err = w.Write(o.Data[low:high])
			}
			if err == nil && at >= s.to {
				err = errStop
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// blockAt finds the block that holds a byte of the output, by halving the journal.
func blockAt(ctx context.Context, store blockStore, view job.Run, output int64) (index.BlockHead, error) {
	var found index.BlockHead
	// Output is never longer than the journal that holds it, so it is not before output
	// bytes; double the bound until it is behind.
	first := func(from int64) (index.BlockHead, bool, error) {
		heads, err := store.Blocks(ctx, view.ID, view.Attempt, from, 1)
		if err != nil || len(heads) == 0 {
			return index.BlockHead{}, false, err
		}
		return heads[0], true, nil
	}
	low, high := int64(0), int64(1)
	for {
		head, ok, err := first(high)
		if err != nil {
			return found, err
		}
		if !ok || head.OutputStart > output {
			break
		}
		found, low, high = head, high, 2*high
	}
	for high-low > 1 {
		middle := low + (high-low)/2
		head, ok, err := first(middle)
		if err != nil {
			return found, err
		}
		if !ok || head.OutputStart > output {
			high = middle
			continue
		}
		found, low = head, middle
		if head.OutputStart+head.OutputBytes > output {
			break
		}
	}
	return found, nil
}

// wantsGzip reports whether to compress the answer because the client can read that. On
// the same machine it would only cost time.
func wantsGzip(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || ip == nil || ip.IsLoopback() {
		return false
	}
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.ReplaceAll(quality, " ", "") != "q=0" {
			return true
		}
	}
	return false
}

// gzipWriter compresses quickly: the link is what it is for.
func gzipWriter(w io.Writer) *gzip.Writer {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil { // the level is a constant
		return gzip.NewWriter(w)
	}
	return z
}
