package host

import (
	"errors"
	"fmt"
	"path/filepath"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
)

// Database is one to measure on.
type Database struct {
	Name  string   // of the engine
	Dir   string   // the data directory; empty for PostgreSQL
	URL   string   // of PostgreSQL
	place []string // options of stint server
	pg    *postgrestest.Own
	// Other makes another one of the same engine.
	Other func(name string) (Database, error)
}

// Options open the database without a server. A commit does not wait for the disk.
func (d Database) Options() store.Options {
	return store.Options{Dir: d.Dir, URL: d.URL, Relaxed: true}
}

// Databases returns the embedded one and, where it is installed, a PostgreSQL that waits for
// its disk as it does at a customer's. Close must be called for each.
func (h *Host) Databases(what string) ([]Database, error) {
	all := []Database{h.Embedded(what)}
	pg, err := postgrestest.StartOwn("fsync=on", "shared_buffers=256MB", "max_wal_size=4GB")
	if errors.Is(err, postgrestest.ErrMissing) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	one, err := h.postgres(pg, "bench")
	if err != nil {
		return nil, errors.Join(err, pg.Close())
	}
	return append(all, one), nil
}

// Close ends the engine.
func (d Database) Close() error {
	if d.pg == nil {
		return nil
	}
	return d.pg.Close()
}

// Embedded returns a data directory, which the server makes.
func (h *Host) Embedded(name string) Database {
	dir := filepath.Join(h.Dir, name)
	other := func(name string) (Database, error) { return h.Embedded(name), nil }
	return Database{Name: "SQLite", Dir: dir, place: []string{"--data", dir}, Other: other}
}

func (h *Host) postgres(pg *postgrestest.Own, name string) (Database, error) {
	url, err := pg.Create(h.Ctx, name)
	other := func(name string) (Database, error) { return h.postgres(pg, name) }
	return Database{Name: "PostgreSQL", URL: url, place: []string{"--database", url}, pg: pg, Other: other}, err
}

// Written returns how many bytes a server, or its PostgreSQL, has written to its disk so far.
func (d Database) Written(h *Host, s *Service) (float64, error) {
	if d.pg == nil {
		return Field(fmt.Sprintf("/proc/%d/io", s.PID()), "write_bytes:")
	}
	n, err := d.pg.Written(h.Ctx)
	return float64(n), err
}
