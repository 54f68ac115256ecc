package notify

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job/api"
)

// While the secrets of a route cannot be decrypted, nothing is dropped or given up: what it
// takes waits, others are sent theirs, and all arrives once the key is back.
func TestMessagesWaitForTheKey(t *testing.T) {
	o := store.Options{Dir: t.TempDir(), SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")}
	open := func() *store.Store {
		db, err := store.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	lost, fine := newRecorder(), newRecorder()
	db := open()
	setRoute(t, db, api.Route{Name: "lost", URL: receiver(t, lost.ServeHTTP)})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(o.SecretKeyFile)
	if err == nil {
		err = os.Remove(o.SecretKeyFile)
	}
	if err != nil {
		t.Fatal(err)
	}
	db = open()
	defer db.Close() //nolint:errcheck // only read from here on
	setRoute(t, db, api.Route{Name: "fine", URL: receiver(t, fine.ServeHTTP)})
	defer work(t, db, nil)()
	run := fail(t, db, "train", 1)
	fine.wait(t, 1)
	rows, err := db.RouteRows(t.Context(), "lost", 10)
	if err != nil || len(rows) != 1 || rows[0].Run != run || rows[0].Tries != 0 {
		t.Errorf("what waits: %+v, %v", rows, err)
	}
	now, err := os.ReadFile(o.SecretKeyFile)
	if err == nil {
		err = os.WriteFile(o.SecretKeyFile, append(now, old...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	lost.wait(t, 1)
	deadline := time.Now().Add(30 * time.Second)
	for {
		actions, err := db.Actions(t.Context(), query.Actions{Run: run, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		done := 0
		for _, a := range actions {
			if a.Status == outbox.Done && a.Tries == 1 {
				done++
			}
		}
		if done == 2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("actions: %+v", actions)
		}
	}
}
