package store_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashEnv); dir != "" {
		fmt.Fprintln(os.Stderr, "victim:", victim(dir))
		os.Exit(1)
	}
	os.Exit(postgrestest.Main(m))
}

func TestPostgreSQL(t *testing.T) { conformance(t, openPostgres) }

func openPostgres(t *testing.T) *store.Store {
	t.Helper()
	return openURL(t, postgrestest.URL(t))
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
