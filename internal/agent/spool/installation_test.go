package spool

import (
	"testing"
	"time"
)

// The installation is in the spool as soon as it is known: an agent that is killed then leaves it to who delivers the journal.
func TestInstallationIsNotedWhileTheAgentWorks(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.Create(Meta{Run: "01890a5d-ac96-774b-bcce-b302099a8057", Attempt: 1, Job: "test", Server: "http://a\nhttp://b"}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	j.Start(func() {})
	defer j.Close() //nolint:errcheck // it is closed below
	j.SetInstallation("x")
	deadline := time.After(20 * time.Second)
	for {
		list, err := s.List()
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		if list[0].Meta.Installation == "x" && list[0].Meta.Server == "http://a\nhttp://b" {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("the spool has %+v", list[0].Meta)
		case <-time.After(time.Millisecond):
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}
