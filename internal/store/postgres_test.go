package store_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
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
