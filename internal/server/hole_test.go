package server_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
)

// A journal whose middle was dropped is never sent as if it were whole: what is in front of
// the hole breaks off there, and the reply to a request for the hole names its end.
func TestAJournalWithAHoleIsNotSentAsWhole(t *testing.T) {
	db, err := store.Open(context.Background(), store.Options{Dir: t.TempDir(), Keep: store.Keep{RunLog: 1 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	l := start(t, server.Config{Store: db})
	s := newSketch(t, "j", nil).command()
	for i := range 40 {
		s.output(strings.Repeat(fmt.Sprintf("%07d ", i), 12_500))
		from, err := db.JournalSize(t.Context(), s.id, 1)
		if err != nil {
			t.Fatal(err)
		}
		l.do("POST", journalPath(s.id, 1, from), s.bytes()[from:]).ok(t, nil)
	}
	if err := db.Tidy(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	heads, err := db.Blocks(t.Context(), s.id, 1, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var from, to int64
	for i := 1; i < len(heads); i++ {
		if end := heads[i-1].Start + heads[i-1].Size; heads[i].Start > end {
			from, to = end, heads[i].Start
		}
	}
	if from == 0 {
		t.Fatal("nothing was dropped")
	}
	path := fmt.Sprintf("/api/v1/runs/%s/attempts/1/journal?offset=%%d", s.id)
	if p := l.get(fmt.Sprintf(path, from)).problem(t, http.StatusGone); !strings.Contains(p.Detail, fmt.Sprint(to)) {
		t.Errorf("from the hole on: %s", p.Detail)
	}
	if rest := l.get(fmt.Sprintf(path, to)); rest.status != http.StatusOK || !bytes.Equal(rest.body, s.bytes()[to:]) {
		t.Errorf("behind the hole: status %d, %d bytes", rest.status, len(rest.body))
	}
	resp, err := http.Get(l.url + fmt.Sprintf(path, 0))
	if err == nil {
		defer resp.Body.Close()
		var got bytes.Buffer
		if _, err = got.ReadFrom(resp.Body); err == nil {
			t.Errorf("a journal with a hole was sent as %d bytes without an error", got.Len())
		}
	}
}
