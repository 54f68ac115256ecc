package search

import (
	"bufio"
	"encoding/json"
	"time"

	"stint.dev/stint/job"
)

// One line of a search's answer is a SearchedLine, a SearchProgressLine or, the last one,
// a SearchDoneLine. Their names are those of the API's document.
type (
	SearchedLine struct {
		Line    int64      `json:"line" doc:"The line's number in the log."`
		At      time.Time  `json:"at" doc:"When its first byte was printed, by the agent's clock."`
		Step    int        `json:"step"`
		Stream  job.Stream `json:"stream"`
		Text    string     `json:"text" doc:"The line; of a long one, the part around its first match."`
		Ranges  [][2]int   `json:"ranges,omitempty" doc:"Where the matches are: byte offsets in text, from and to."`
		Cut     bool       `json:"cut,omitempty" doc:"Only a part of the line is shown."`
		Context bool       `json:"context,omitempty" doc:"The line does not match, but is near one that does."`
	}
	SearchProgress struct {
		Bytes   int64 `json:"bytes" doc:"Output searched so far."`
		Of      int64 `json:"of" doc:"Output to search."`
		Matches int64 `json:"matches"`
	}
	SearchProgressLine struct {
		Progress SearchProgress `json:"progress"`
	}
	SearchDone struct {
		Matches  int64  `json:"matches"`
		Bytes    int64  `json:"bytes"`
		Lines    int64  `json:"lines" doc:"Lines searched."`
		Stopped  string `json:"stopped" doc:"Why it ended before the log did: limit or time; else empty."`
		NextLine int64  `json:"next_line" doc:"Where to go on: as from_line, or backwards as to_line, where 0 is the beginning."`
	}
	SearchDoneLine struct {
		Done SearchDone `json:"done"`
	}
)

// writer writes the answer of a search.
type writer struct {
	out   Writer
	buf   *bufio.Writer
	enc   *json.Encoder
	dirty bool
	now   func() time.Time
	last  time.Time // time of the last progress line
}

func newWriter(w Writer, now func() time.Time) *writer {
	buf := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	return &writer{out: w, buf: buf, enc: enc, now: now, last: now()}
}

func (w *writer) line(h foundLine, context bool) error {
	w.dirty = true
	return w.enc.Encode(SearchedLine{
		Line: h.n, At: h.at.UTC(), Step: h.key.Step, Stream: h.key.Stream,
		Text: h.text.Text, Ranges: h.text.Ranges, Cut: h.text.Cut, Context: context,
	})
}

// progress flushes the lines and, once per progressInterval, writes a progress line.
func (w *writer) progress(p SearchProgress) error {
	if now := w.now(); now.Sub(w.last) >= progressInterval {
		w.last, w.dirty = now, true
		if err := w.enc.Encode(SearchProgressLine{p}); err != nil {
			return err
		}
	}
	if !w.dirty {
		return nil
	}
	w.dirty = false
	if err := w.buf.Flush(); err != nil {
		return err
	}
	return w.out.Flush()
}

func (w *writer) done(d SearchDone) error {
	if err := w.enc.Encode(SearchDoneLine{d}); err != nil {
		return err
	}
	return w.buf.Flush()
}
