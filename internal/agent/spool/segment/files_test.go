package segment

import (
	"errors"
	"testing"

	"stint.dev/stint/journal"
)

func TestWhereAJournalBegins(t *testing.T) {
	known := func(size int64) *journal.Checkpoint { return &journal.Checkpoint{Size: size} }
	const refused = -1
	for _, c := range []struct {
		name    string
		all     []PlacedFile
		known   *journal.Checkpoint
		damaged bool
		want    int
	}{
		{"whole", []PlacedFile{{0, 100}, {100, 50}}, nil, false, 0},
		{"nothing", []PlacedFile{{0, 0}}, nil, false, 0},
		{"its end was lost", []PlacedFile{{0, 90}, {100, 50}}, nil, false, 0},
		{"deleted, and not known", []PlacedFile{{0, 0}, {100, 50}}, nil, false, refused},
		{"deleted", []PlacedFile{{0, 0}, {100, 50}, {150, 50}}, known(100), false, 1},
		{"deleted, but for one", []PlacedFile{{0, 0}, {100, 50}, {150, 50}}, known(150), false, 2},
		{"deleted, and nothing behind it", []PlacedFile{{0, 0}}, known(100), false, 1},
		{"about to be deleted, and nothing behind it", []PlacedFile{{0, 100}, {100, 50}}, known(150), false, 2},
		{"about to be deleted", []PlacedFile{{0, 100}, {100, 50}, {150, 50}}, known(150), false, 0},
		{"deleted in part", []PlacedFile{{0, 100}, {150, 50}}, known(150), false, 1},
		{"known damaged, whole", []PlacedFile{{0, 100}, {100, 50}}, nil, true, 0},
		{"known damaged, a part is missing", []PlacedFile{{0, 100}, {150, 50}}, nil, true, refused},
		{"known damaged, deleted", []PlacedFile{{0, 0}, {100, 50}}, nil, true, refused},
		{"known damaged, all deleted", []PlacedFile{{0, 0}}, nil, true, refused},
		{"known within a file", []PlacedFile{{0, 100}, {100, 50}}, known(120), false, 0},
		{"known within a file, deleted", []PlacedFile{{0, 0}, {100, 50}}, known(120), false, refused},
		{"known before all files", []PlacedFile{{0, 0}, {100, 50}}, known(50), false, refused},
		{"known between two files", []PlacedFile{{0, 100}, {100, 10}, {150, 50}}, known(120), false, refused},
	} {
		got, err := FirstOf(c.all, c.known, c.damaged)
		if errors.Is(err, ErrNoBeginning) {
			got = refused
		}
		if got != c.want {
			t.Errorf("%s: begins at %d (%v), want %d", c.name, got, err, c.want)
		}
	}
}
