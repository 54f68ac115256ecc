package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/db"
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

// However many transactions wait for the same row, those of agents have a connection.
func TestAgentsWaitForNoOtherTransaction(t *testing.T) {
	s := openPostgres(t)
	held, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := s.Write(t.Context(), db.None, func(tx *db.Tx) error {
			if _, err := tx.ExecContext(t.Context(), `INSERT INTO jobs (name, next_number) VALUES ('held', 1)`); err != nil {
				return err
			}
			close(held)
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-held
	for range 40 {
		wg.Go(func() {
			err := s.Change(t.Context(), "wait for the row", `INSERT INTO jobs (name, next_number) VALUES ('held', 1) ON CONFLICT (name) DO UPDATE SET next_number = 2`)
			if err != nil {
				t.Error(err)
			}
		})
	}
	for waiting := 0; waiting < 7; { // all that Write has, but the first
		must(t, s.Reader.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if _, _, err := s.Ingest(ctx, nil, []lease.Beat{{Run: uuid.NewString(), Attempt: 1, At: time.Now()}}); err != nil {
				t.Errorf("a heartbeat beside 41 transactions: %v", err)
			}
		})
	}
	both.Wait()
	close(release)
	wg.Wait()
}
