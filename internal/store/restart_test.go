package store_test

import (
	"sync"
	"testing"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/journal"
)

// After a restart of PostgreSQL, which ends all connections, the first writes succeed, however many
// connections the store had.
func TestWritesAfterPostgreSQLEndedTheConnections(t *testing.T) {
	url := postgrestest.URL(t)
	s, other := openURL(t, url), connect(t, url)
	for range 3 {
		var appends sync.WaitGroup
		for range 6 { // each has a connection of its own
			appends.Go(func() {
				id, data := whole(t, journal.Attempt{}, 0)
				_, _, err := s.Ingest(t.Context(), []index.Append{{Run: id, Attempt: 1, Data: data, At: noon}}, nil)
				if err != nil {
					t.Error(err)
				}
			})
		}
		appends.Wait()
		if _, err := other.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
	}
}
