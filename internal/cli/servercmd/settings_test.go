package servercmd

import (
	"testing"
	"time"

	"stint.dev/stint/internal/archive"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
)

func TestSettingsForPrograms(t *testing.T) {
	dir, err := archive.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	keep := store.Keep{Age: 36 * time.Hour, Runs: 3, Bytes: 1 << 30, RunLog: 1 << 20}
	for _, c := range []struct {
		options store.Options
		place   string
		kind    string
		keep    server.Keep
	}{
		{store.Options{URL: "postgres://h/d"}, "", "database", server.Keep{}},
		{store.Options{Dir: "d", Archive: dir}, "", "data_directory", server.Keep{}},
		{store.Options{Dir: "d", Archive: dir}, "/archive", "directory", server.Keep{}},
		{store.Options{Dir: "d", Archive: dir, Keep: keep}, "s3://b", "bucket", server.Keep{AgeSeconds: 129_600, RunsOfJob: 3, TotalBytes: 1 << 30, RunLogBytes: 1 << 20}},
	} {
		got := settingsOf(c.options, c.place)
		if got.ArchiveKind != c.kind || got.Keep != c.keep {
			t.Errorf("%q: %+v", c.place, got)
		}
	}
}
