package e2e

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// A server packs into a bucket while it runs; what it packed is read, searched, downloaded,
// checked, built anew and deleted like everything else.
func TestBucket(t *testing.T) {
	t.Parallel()
	backend := s3mem.New()
	if err := backend.CreateBucket("logs"); err != nil {
		t.Fatal(err)
	}
	service := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(service.Close)
	h := newHost(t)
	h.env = []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret"}
	objects := func() int {
		list, err := backend.ListBucket("logs", nil, gofakes3.ListBucketPage{})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Contents)
	}
	place := "s3://logs/stint?region=eu-1&endpoint=" + service.URL
	s := &server{t: t, data: filepath.Join(t.TempDir(), "data"), url: "http://" + freeAddress(t), host: h}
	s.start("--archive", place)
	t.Cleanup(s.stop)
	var want bytes.Buffer
	for i := 1; i <= 300_000; i++ {
		fmt.Fprintln(&want, i)
	}
	for _, end := range []string{"first", "second"} {
		h.run("run", "--server", s.url, "--job", "long", "--quiet", "--", "sh", "-c", "seq 300000; echo needle "+end)
	}
	s.ended("long#2")
	eventually(t, "both are packed into the bucket", func() bool { return objects() >= 2 })
	for number, end := range []string{"first", "second"} {
		ref, want := fmt.Sprintf("long#%d", number+1), want.String()+"needle "+end+"\n"
		if got := s.log(ref, ""); string(got) != want {
			t.Errorf("%s has %d bytes, want %d", ref, len(got), len(want))
		}
		if got := s.log(ref, "?from_line=150000&lines=2"); string(got) != "150000\n150001\n" {
			t.Errorf("a window of %s: %q", ref, got)
		}
		if got := h.run("logs", "--server", s.url, ref, "--grep", "needle"); got.stdout != "needle "+end+"\n" {
			t.Errorf("search in %s: %+v", ref, got)
		}
	}
	if got := h.run("server", "check", "--data", s.data, "--archive", place); got.code != 0 || !strings.Contains(got.stdout, "2 objects") {
		t.Errorf("check beside the server: %+v", got)
	}
	s.stop()
	s.start("--archive", place, "--keep-runs", "1", "--keep-now")
	eventually(t, "the first run is deleted, and its object", func() bool {
		_, known := s.find("long#1")
		return !known && objects() == 1
	})
	if got := s.log("long#2", "?tail=1"); string(got) != "needle second\n" {
		t.Errorf("the other run: %q", got)
	}
	if _, err := backend.DeleteObject("logs", firstKey(t, backend)); err != nil {
		t.Fatal(err)
	}
	if got := h.run("server", "check", "--data", s.data, "--archive", place); got.code != 1 || !strings.Contains(got.stdout, "is not in the archive") {
		t.Errorf("check with an object gone: %+v", got)
	}
}

func firstKey(t *testing.T, backend *s3mem.Backend) string {
	t.Helper()
	list, err := backend.ListBucket("logs", nil, gofakes3.ListBucketPage{})
	if err != nil || len(list.Contents) == 0 {
		t.Fatal("no objects", err)
	}
	return list.Contents[0].Key
}

// An address that can never work ends the server before it begins; one that may work later
// does not.
func TestImpossibleBucket(t *testing.T) {
	h := newHost(t)
	for _, place := range []string{"s3://x", "s3://Logs/a", "s3://a..b", "s3://logs/../up", "s3://logs?nonsense=1"} {
		got := h.run("server", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--archive", place)
		if got.code != 2 || !strings.Contains(got.stderr, "--archive: archive address") {
			t.Errorf("%s: %+v", place, got)
		}
	}
}
