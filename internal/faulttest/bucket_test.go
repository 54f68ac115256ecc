package faulttest

import (
	"bytes"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// bucket is the archive of a server: an S3 service, behind a proxy through which it can be
// made to hang.
type bucket struct {
	t       *testing.T
	backend *s3mem.Backend
	proxy   *toxic
}

const bucketName = "logs"

// bucketKeys are the credentials that a server needs for a bucket.
var bucketKeys = []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret"}

func startBucket(t *testing.T) *bucket {
	t.Helper()
	b := &bucket{t: t, backend: s3mem.New()}
	if err := b.backend.CreateBucket(bucketName); err != nil {
		t.Fatal(err)
	}
	service := httptest.NewServer(gofakes3.New(b.backend).Server())
	t.Cleanup(service.Close)
	var err error
	if b.proxy, err = startToxic("127.0.0.1:0", service.Listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.proxy.Stop)
	return b
}

// place is what --archive is given.
func (b *bucket) place() string {
	return fmt.Sprintf("s3://%s/stint?region=eu-1&endpoint=http://%s", bucketName, b.proxy.Listen)
}

// hang makes the service accept connections and never answer, until end is called: then the
// connections that waited are closed.
func (b *bucket) hang() (end func(), err error) {
	return b.proxy.add("hang", "timeout", "upstream", `"timeout":0`)
}

// keys lists the objects of a run, or of all runs.
func (b *bucket) keys(run string) (keys []string) {
	b.t.Helper()
	list, err := b.backend.ListBucket(bucketName, nil, gofakes3.ListBucketPage{})
	if err != nil {
		b.t.Error(err)
		return nil
	}
	for _, o := range list.Contents {
		if strings.Contains(o.Key, run) {
			keys = append(keys, o.Key)
		}
	}
	return keys
}

// damage changes an object, and returns how to make it whole again. The middle of it belongs to a
// compressed frame.
func (b *bucket) damage(key string) (repair func() error, err error) {
	o, err := b.backend.GetObject(bucketName, key, nil)
	if err != nil {
		return nil, err
	}
	whole, err := io.ReadAll(o.Contents)
	if err := o.Contents.Close(); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	put := func(data []byte) error {
		_, err := b.backend.PutObject(bucketName, key, o.Metadata, bytes.NewReader(data), int64(len(data)), nil)
		return err
	}
	return func() error { return put(whole) }, put(flipped(whole))
}

// flipped is data with some of its bytes changed, in the middle.
func flipped(data []byte) []byte {
	out := bytes.Clone(data)
	for i := len(out) / 2; i < min(len(out), len(out)/2+16); i++ {
		out[i] ^= 0xff
	}
	return out
}
