package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"stint.dev/stint/internal/archive"
)

// service is an S3 service in this process whose answers a test can spoil.
type service struct {
	*httptest.Server
	spoil atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool] // true: answered
	calls atomic.Int64
}

func newService(t *testing.T) *service {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("logs"); err != nil {
		t.Fatal(err)
	}
	inner := gofakes3.New(backend).Server()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		if spoil := s.spoil.Load(); spoil != nil && (*spoil)(w, r) {
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) options() archive.S3Options {
	return archive.S3Options{
		Endpoint: strings.TrimPrefix(s.URL, "http://"), Plain: true, Bucket: "logs", Prefix: "stint/one",
		Region: "eu-1", AccessKey: "key", SecretKey: "secret", Tries: 2, Timeout: 20 * time.Second,
	}
}

func openS3(t *testing.T, o archive.S3Options) *archive.S3 {
	t.Helper()
	s, err := archive.OpenS3(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// objects is what both archives do.
type objects interface {
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	ReadRange(ctx context.Context, key string, off, n int64) ([]byte, error)
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string) iter.Seq2[archive.Object, error]
}

// Directory and bucket must behave in the same way.
func TestArchivesDoTheSame(t *testing.T) {
	dir, err := archive.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]objects{"directory": dir, "bucket": openS3(t, newService(t).options())} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
			for key, data := range map[string][]byte{"run/1/a": []byte("hello"), "run/1/b": big, "run/2": {}, "other": []byte("x")} {
				if err := a.Put(ctx, key, bytes.NewReader(data), int64(len(data))); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.Put(ctx, "run/1/a", iotest.OneByteReader(strings.NewReader("hello again")), 11); err != nil {
				t.Fatal(err)
			}
			reads := []struct {
				key    string
				off, n int64
				want   string
				err    error
			}{
				{"run/1/a", 0, 11, "hello again", nil},
				{"run/1/a", 6, 5, "again", nil},
				{"run/1/a", 0, 1, "h", nil},
				{"run/1/a", 11, 0, "", nil},
				{"run/1/a", 7, 5, "", io.ErrUnexpectedEOF},
				{"run/1/a", 100, 1, "", io.ErrUnexpectedEOF},
				{"run/1/a", -1, 1, "", io.ErrUnexpectedEOF},
				{"run/1/a", 12, 0, "", io.ErrUnexpectedEOF},
				{"run/1/b", 15 << 20, 4, "0123", nil},
				{"run/2", 0, 0, "", nil},
				{"run/2", 0, 1, "", io.ErrUnexpectedEOF},
				{"run/3", 0, 1, "", fs.ErrNotExist},
				{"run/3", 0, 0, "", fs.ErrNotExist},
			}
			for _, r := range reads {
				got, err := a.ReadRange(ctx, r.key, r.off, r.n)
				if string(got) != r.want || !errors.Is(err, r.err) {
					t.Errorf("read %d bytes at %d of %s: %q, %v; want %q, %v", r.n, r.off, r.key, got, err, r.want, r.err)
				}
			}
			want := []archive.Object{{Key: "run/1/a", Size: 11}, {Key: "run/1/b", Size: int64(len(big))}, {Key: "run/2"}}
			if diff := cmp.Diff(want, list(t, a, "run/")); diff != "" {
				t.Error("listed (-want +got):", diff)
			}
			for range 2 {
				if err := a.Delete(ctx, "run/1/a"); err != nil {
					t.Error(err)
				}
			}
			if diff := cmp.Diff(want[1:2], list(t, a, "run/1/")); diff != "" {
				t.Error("listed after deleting (-want +got):", diff)
			}
			for _, size := range []int64{2, 4} {
				if err := a.Put(ctx, "wrong", strings.NewReader("abc"), size); err == nil {
					t.Errorf("3 bytes were taken as %d", size)
				}
			}
			for _, key := range []string{"", "../x", "a//b", ".x"} {
				_, err := a.ReadRange(ctx, key, 0, 1)
				if err = cmpErr(a.Put(ctx, key, strings.NewReader(""), 0), err, a.Delete(ctx, key)); err != nil {
					t.Errorf("key %q was taken", key)
				}
			}
		})
	}
}

// cmpErr is an error when one of errs is nil.
func cmpErr(errs ...error) error {
	if slices.Contains(errs, nil) {
		return errors.New("one of them succeeded")
	}
	return nil
}

func list(t *testing.T, a objects, prefix string) []archive.Object {
	t.Helper()
	var out []archive.Object
	for o, err := range a.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
	return out
}

// Two archives in one bucket do not see each other, and long listings come whole.
func TestBucketIsSharedByPrefix(t *testing.T) {
	s := newService(t)
	one := openS3(t, s.options())
	o := s.options()
	o.Prefix = "stint/on"
	two := openS3(t, o)
	for i := range 1100 {
		if err := one.Put(t.Context(), fmt.Sprintf("k/%04d", i), strings.NewReader("x"), 1); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(list(t, one, "")); n != 1100 {
		t.Errorf("listed %d of 1100", n)
	}
	if got := list(t, two, ""); len(got) != 0 {
		t.Errorf("the other archive sees %v", got)
	}
	for range one.List(t.Context(), "") {
		break // a consumer may stop
	}
}

func answerXML(status int, code string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>as sent</Message></Error>", code)
		return true
	}
}

func TestBucketFaultsAreClear(t *testing.T) {
	tests := map[string]struct {
		change func(*archive.S3Options)
		spoil  func(http.ResponseWriter, *http.Request) bool
		says   []string
	}{
		"missing bucket":  {change: func(o *archive.S3Options) { o.Bucket = "nobody" }, says: []string{"NoSuchBucket", "create the bucket"}},
		"wrong secret":    {spoil: answerXML(403, "SignatureDoesNotMatch"), says: []string{"SignatureDoesNotMatch", "credentials are refused"}},
		"no right":        {spoil: answerXML(403, "AccessDenied"), says: []string{"AccessDenied", "credentials are refused"}},
		"broken service":  {spoil: answerXML(500, "InternalError"), says: []string{"InternalError", "as sent"}},
		"nobody there":    {change: func(o *archive.S3Options) { o.Endpoint = "127.0.0.1:1" }, says: []string{"127.0.0.1:1", "refused"}},
		"never an answer": {change: func(o *archive.S3Options) { o.Timeout = 100 * time.Millisecond }, spoil: stall, says: []string{"no answer within 100ms"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			o := s.options()
			if tt.change != nil {
				tt.change(&o)
			}
			if tt.spoil != nil {
				s.spoil.Store(&tt.spoil)
			}
			a := openS3(t, o)
			_, read := a.ReadRange(t.Context(), "x", 0, 1)
			var listed error
			for _, err := range a.List(shortly(t), "") {
				listed = err
			}
			for doing, err := range map[string]error{
				"put": a.Put(t.Context(), "x", strings.NewReader("abc"), 3), "read": read,
			} {
				checkFault(t, doing, err, tt.says)
				if errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: taken for a missing object: %v", doing, err)
				}
			}
			if listed == nil {
				t.Error("list: no error")
			}
			if err := a.Check(t.Context()); err == nil || strings.Contains(err.Error(), "secret") && name != "wrong secret" && !strings.Contains(err.Error(), "its secret") {
				t.Errorf("check: %v", err)
			}
		})
	}
}

func checkFault(t *testing.T, doing string, err error, says []string) {
	t.Helper()
	for _, text := range append(says, "archive s3://") {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v does not say %q", doing, err, text)
		}
	}
}

func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// stall takes the request and never answers.
func stall(_ http.ResponseWriter, r *http.Request) bool {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
	return true
}

// A fault that passes is not seen by the caller: requests are repeated, with the same body.
// A server that begins does not wait for a bucket as long as one that stores something.
func TestABucketThatHangsIsCheckedShortly(t *testing.T) {
	s := newService(t)
	stalls := stall
	s.spoil.Store(&stalls)
	err := openS3(t, s.options()).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no answer within 2s") {
		t.Errorf("the check: %v", err)
	}
}

func TestBucketRequestsAreRepeated(t *testing.T) {
	s := newService(t)
	a := openS3(t, s.options())
	first := func() {
		var done atomic.Bool
		spoil := func(w http.ResponseWriter, r *http.Request) bool {
			if done.Swap(true) {
				return false
			}
			_, _ = io.Copy(io.Discard, r.Body)
			return answerXML(503, "SlowDown")(w, r)
		}
		s.spoil.Store(&spoil)
	}
	first()
	if err := a.Put(t.Context(), "x", iotest.HalfReader(strings.NewReader("hello")), 5); err != nil {
		t.Error(err)
	}
	first()
	if got, err := a.ReadRange(t.Context(), "x", 1, 4); err != nil || string(got) != "ello" {
		t.Errorf("read %q, %v", got, err)
	}
	first()
	if err := a.Delete(t.Context(), "x"); err != nil {
		t.Error(err)
	}
}

// An answer that is shorter than it says is not taken for the object.
func TestBucketAnswerCutShort(t *testing.T) {
	s := newService(t)
	a := openS3(t, s.options())
	cut := func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Length", "10")
		w.Header().Set("Content-Range", "bytes 0-9/10")
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write([]byte("abc"))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	s.spoil.Store(&cut)
	if got, err := a.ReadRange(t.Context(), "x", 0, 10); !errors.Is(err, io.ErrUnexpectedEOF) || got != nil {
		t.Errorf("read %q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Put(ctx, "x", strings.NewReader("abc"), 3); !errors.Is(err, context.Canceled) {
		t.Errorf("put after the end: %v", err)
	}
}

func TestAddressOfABucket(t *testing.T) {
	got, err := archive.ParseS3("s3://logs/a/b/?endpoint=http://127.0.0.1:9000&region=eu-1&path_style=true")
	want := archive.S3Options{Endpoint: "127.0.0.1:9000", Plain: true, Bucket: "logs", Prefix: "a/b", Region: "eu-1", PathStyle: true}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, "(-want +got):", diff)
	}
	if got, err := archive.ParseS3("s3://logs"); err != nil || got.Endpoint != "s3.amazonaws.com" || got.Plain {
		t.Error(got, err)
	}
	for _, good := range []string{"s3://a-1", "s3://0.9", "s3://" + strings.Repeat("a", 63)} {
		if got, err := archive.ParseS3(good); err != nil || "s3://"+got.Bucket != good {
			t.Errorf("%q: %+v, %v", good, got, err)
		}
	}
	for _, bad := range []string{
		"", "logs", "http://logs", "s3://", "s3:///x", "s3://logs:9000/x", "s3://key:hunter2@logs/x", "s3://logs?endpoint=127.0.0.1:9000",
		"s3://logs?endpoint=https://h/path", "s3://logs?colour=red", "s3://logs?path_style=1", "s3://lo gs", "s3://x", "s3://ab", "s3://-ab", "s3://ab.", "s3://a_b", "s3://" + strings.Repeat("a", 64), "s3://Logs", "s3://a..b", "s3://logs/.hidden", "s3://logs?endpoint=https://me:hunter2@h",
	} {
		_, err := archive.ParseS3(bad)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, o := range []archive.S3Options{
		{Endpoint: "h", Bucket: "logs", AccessKey: "key"},
		{Endpoint: "h", Bucket: "logs", Prefix: "../x"},
		{Endpoint: "not a host", Bucket: "logs"},
	} {
		if _, err := archive.OpenS3(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
