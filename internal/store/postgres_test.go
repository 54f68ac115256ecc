package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashEnv); dir != "" {
		fmt.Fprintln(os.Stderr, "victim:", victim(dir))
		os.Exit(1)
	}
	code := postgrestest.Main(m)
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func TestPostgreSQL(t *testing.T) { conformance(t, openPostgres) }

func openPostgres(t *testing.T) *store.Store {
	t.Helper()
	return openWith(t, store.Options{URL: postgrestest.URL(t), SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")})
}

func openURL(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Two servers may begin at the same moment on an empty database, and then share it.
func TestTwoServersOnOnePostgreSQL(t *testing.T) {
	url := postgrestest.URL(t)
	stores := make([]*store.Store, 2)
	var wg sync.WaitGroup
	for i := range stores {
		wg.Go(func() {
			s, err := store.Open(context.Background(), store.Options{URL: url})
			if err != nil {
				t.Error(err)
				return
			}
			stores[i] = s
		})
	}
	wg.Wait()
	for _, s := range stores {
		if s == nil {
			t.Fatal("a server could not open the database")
		}
		defer s.Close() //nolint:errcheck // only read in the end
	}
	j := newJournal(t, journal.Attempt{})
	j.command()
	for i := range 40 { // the agent's requests reach one server and the other
		j.output(fmt.Sprintln(i))
		offset, data := j.take()
		one(t, stores[i%2], j.id, 1, offset, data)
	}
	j.end(0)
	offset, data := j.take()
	one(t, stores[0], j.id, 1, offset, data)
	if run := mustRun(t, stores[1], j.id); !run.Output.Complete || run.Output.Lines != 40 || run.State != job.Succeeded {
		t.Errorf("run: %+v", run)
	}
}
