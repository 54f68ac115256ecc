package faulttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"stint.dev/stint/internal/store/postgrestest"
)

// slot is what one schedule after the other uses, and no two at the same time: a link and a
// PostgreSQL of its own.
type slot struct {
	number int
	mu     sync.Mutex
	link   *link
	pg     *postgrestest.Own
}

var (
	slotsMu sync.Mutex
	slots   []*slot
)

func newSlot() *slot {
	slotsMu.Lock()
	defer slotsMu.Unlock()
	s := &slot{number: len(slots) + 1}
	slots = append(slots, s)
	return s
}

func closeSlots() error {
	slotsMu.Lock()
	defer slotsMu.Unlock()
	var err error
	for _, s := range slots {
		if s.link != nil {
			err = errors.Join(err, s.link.close())
		}
		if s.pg != nil {
			err = errors.Join(err, s.pg.Close())
		}
	}
	slots = nil
	return err
}

// linked is the slot's network namespace, made when it is first asked for.
func (s *slot) linked() (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.link == nil {
		s.link, err = makeLink(s.number)
	}
	return s.link, err
}

func (s *slot) postgres() (*postgrestest.Own, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.pg == nil {
		s.pg, err = postgrestest.StartOwn()
	}
	return s.pg, err
}

// database makes an empty database for a schedule.
func (s *slot) database(t *testing.T, seed uint64) string {
	t.Helper()
	pg, err := s.postgres()
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	name := fmt.Sprintf("faults_%d", seed)
	url, err := pg.Create(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pg.Drop(context.Background(), name); err != nil {
			t.Errorf("drop the database: %v", err)
		}
	})
	return url
}
