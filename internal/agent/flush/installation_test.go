package flush

import (
	"context"
	"errors"
	"testing"

	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/agent/spool/owner"
)

// A journal that an installation has a part of goes to that one, at whatever address, and to no other one; one that none has a part
// of goes by its addresses.
func TestWhichServerGetsAJournal(t *testing.T) {
	const a, b, c = "http://a", "http://b", "http://c"
	for _, tt := range []struct {
		name               string
		meantFor, has      string // the journal's addresses and installation
		given, given2      string // the server's
		anyServer, any     bool
		want               Skip
		refused, elsewhere bool
	}{
		{name: "the address, and nothing known", meantFor: a, given: a},
		{name: "no address", given: a},
		{name: "another address", meantFor: a, given: b, want: OtherServer},
		{name: "one of several addresses", meantFor: a + "\n" + b, given: b},
		{name: "one of several that are given", meantFor: b, given: a + "\n" + b + "\n" + c},
		{name: "none of them", meantFor: a + "\n" + b, given: c, want: OtherServer},
		{name: "none of them, with --server", meantFor: a, given: c, anyServer: true},
		{name: "the installation at another address", meantFor: a, has: "x", given: b, given2: "x"},
		{name: "another installation at the address", meantFor: a, has: "x", given: a, given2: "y", want: OtherInstallation},
		{name: "another one with --server", meantFor: a, has: "x", given: b, given2: "y", anyServer: true, want: OtherInstallation},
		{name: "another one with --any", meantFor: a, has: "x", given: b, given2: "y", any: true},
		{name: "a server that does not name its installation", meantFor: a, has: "x", given: a},
		{name: "the same elsewhere", meantFor: a, has: "x", given: b, want: OtherServer},
		{name: "a journal of which the server has nothing", meantFor: a, given: b, given2: "y", want: OtherServer},
		{name: "refused", meantFor: a, has: "x", given: b, given2: "x", refused: true, want: Refused},
		{name: "another host", meantFor: a, has: "x", given: a, given2: "x", elsewhere: true, want: OtherHost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := spool.Meta{Server: tt.meantFor, Installation: tt.has, Host: owner.Host{Name: "here"}}
			if tt.refused {
				m.Refused = "it is refused"
			}
			if tt.elsewhere {
				m.Host.Name = "there"
			}
			config := Config{ServerURL: tt.given, installation: tt.given2, AnyServer: tt.anyServer, Any: tt.any, Host: owner.Host{Name: "here"}}
			if got := config.mayTake(m); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// named is a server that names its installation, or does not answer when it is asked for it.
type named struct {
	*server
	is    string
	err   error
	asked int
}

func (s *named) Installation(context.Context) (string, error) {
	s.asked++
	return s.is, s.err
}

// The server is asked for its installation only where that decides; while it does not answer, nothing is sent.
func TestJournalsOfAnInstallation(t *testing.T) {
	state := t.TempDir()
	for n, has := range []string{"x", "y", ""} {
		wait(t, state, n, "http://before")
		setInstallation(t, state, n, has)
	}
	s := &named{server: &server{journals: map[string][]byte{}}, err: errors.New("no answer")}
	c := Config{StateDir: state, Server: s, ServerURL: here, AnyServer: true}
	got, err := Run(t.Context(), c)
	if err != nil || len(s.server.asked) != 0 || len(got.Journals) != 1 || got.Journals[0].Err == nil || got.Untried != 2 {
		t.Fatalf("without an answer: %+v, %v; it got %q", got, err, s.server.asked)
	}
	s.is, s.err = "x", nil
	if got, err = Run(t.Context(), c); err != nil || len(got.Journals) != 3 {
		t.Fatal(got, err)
	}
	for n, want := range []Skip{"", OtherInstallation, ""} {
		if j := got.Journals[n]; j.Skipped != want || j.Err != nil || j.Delivered != (want == "") || n == 1 && j.Installation != "y" {
			t.Errorf("journal %d: %+v", n, j)
		}
	}
}

// setInstallation notes the installation of a journal that waits, as an agent does.
func setInstallation(t *testing.T, state string, n int, id string) {
	t.Helper()
	s, err := spool.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	e, there := s.Entry(run(n) + ".1")
	if !there {
		t.Fatal("it is not there")
	}
	j, _, err := s.Adopt(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	j.SetInstallation(id)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if e, _ = s.Entry(e.Name); e.Meta.Installation != id {
		t.Errorf("the spool has %q, want %q", e.Meta.Installation, id)
	}
}
