package logs

import (
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"

	"stint.dev/stint/internal/logs"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
)

// GetJournal responds with the stored journal from an offset to the end of its last complete record.
func (s *Logs) GetJournal(w http.ResponseWriter, r *http.Request) {
	run, err := s.RunID(r.Context(), r.PathValue("run"))
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	attempt, err := httpio.ParseAttempt(r.PathValue("attempt"))
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	offset, err := offsetOf(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	size, err := s.Store.JournalSize(r.Context(), run, attempt)
	switch {
	case err != nil:
	case size == 0:
		err = &query.NotFoundError{What: "attempt " + strconv.Itoa(attempt) + " of run " + run}
	case offset > size:
		err = httpio.NewProblem(http.StatusBadRequest, "the offset %d is beyond the end of the stored journal, which has %d bytes", offset, size)
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	src := io.LimitReader(logs.NewJournalReader(r.Context(), s.Store, run, attempt, offset), size-offset)
	buf := make([]byte, 64<<10)
	n, err := src.Read(buf)
	var hole *logs.HoleError
	switch {
	case errors.As(err, &hole):
		s.Fail(w, r, httpio.NewProblem(http.StatusGone, "%s", hole))
		return
	case err != nil && !errors.Is(err, io.EOF):
		s.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Stint-Journal-Size", strconv.FormatInt(size, 10))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	if err := s.writeJournal(w, src, buf, n); err != nil {
		if r.Context().Err() == nil && !errors.As(err, &hole) {
			s.Log.Error("a journal was not sent completely", "run", run, "attempt", attempt, "error", err)
		}
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
}

// writeJournal writes the first n bytes of buf, which were read before, and the rest of src. Each write
// has a deadline of its own, so that a slow client gets all of it.
func (s *Logs) writeJournal(w http.ResponseWriter, src io.Reader, buf []byte, n int) error {
	rc := http.NewResponseController(w)
	for {
		_ = rc.SetWriteDeadline(httpio.ResponseDeadline()) // only the recorder of a test has none
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		var err error
		if n, err = src.Read(buf); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// offsetOf returns ?offset=, the only parameter, which is 0 by default.
func offsetOf(r *http.Request) (int64, error) {
	p := httpio.NewParams(r, "offset")
	return p.Number("offset", 0, math.MaxInt64, 0), p.Err
}
