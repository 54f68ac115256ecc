package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3Options are a bucket, its service and the credentials. Endpoint and Bucket are required.
type S3Options struct {
	// Endpoint is host or host:port; Plain speaks HTTP instead of HTTPS to it.
	Endpoint string
	Plain    bool
	Bucket   string
	// Prefix begins the keys of all objects; a slash is put behind it.
	Prefix string
	// Region is requested from the service if it is empty.
	Region string
	// PathStyle puts the bucket into the path and not into the host's name. Endpoints
	// other than those of Amazon and Google get it anyway.
	PathStyle bool
	// AccessKey, SecretKey and SessionToken are the credentials; without them the machine's
	// own role provides some.
	AccessKey, SecretKey, SessionToken string
	// Timeout bounds one operation with all its tries; 0 for one minute.
	Timeout time.Duration
	// Tries is how often a request is sent before its error counts; 0 for 5.
	Tries int
}

// S3 keeps objects in a bucket of an S3-compatible service. An object is held in memory
// while it is stored.
type S3 struct {
	core    minio.Core
	bucket  string
	prefix  string
	place   string // for messages
	timeout time.Duration
}

// OpenS3 prepares the use of a bucket. Nothing is sent yet: Check does that.
func OpenS3(o S3Options) (*S3, error) {
	place := "s3://" + o.Bucket + "/" + o.Prefix + " at " + o.Endpoint
	creds := credentials.NewIAM("")
	if o.AccessKey != "" || o.SecretKey != "" {
		if o.AccessKey == "" || o.SecretKey == "" {
			return nil, fmt.Errorf("archive %s: an access key and its secret go together, and one of them is missing", place)
		}
		creds = credentials.NewStaticV4(o.AccessKey, o.SecretKey, o.SessionToken)
	}
	if o.Prefix != "" {
		if err := CheckKey(o.Prefix); err != nil {
			return nil, fmt.Errorf("archive %s: the prefix is not possible: %w", place, err)
		}
		o.Prefix += "/"
	}
	lookup := minio.BucketLookupAuto
	if o.PathStyle {
		lookup = minio.BucketLookupPath
	}
	if o.Tries == 0 {
		o.Tries = 5
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	client, err := minio.New(o.Endpoint, &minio.Options{
		Creds: creds, Secure: !o.Plain, Region: o.Region, BucketLookup: lookup, MaxRetries: o.Tries,
	})
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", place, err)
	}
	client.SetAppInfo("stint", "1")
	return &S3{core: minio.Core{Client: client}, bucket: o.Bucket, prefix: o.Prefix, place: place, timeout: o.Timeout}, nil
}

// checkTime bounds Check: a server starts without its bucket, and must not start late.
const checkTime = 2 * time.Second

// Check reports whether the bucket exists and may be used. It takes two seconds at the most.
func (s *S3) Check(ctx context.Context) error {
	limit := min(s.timeout, checkTime)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	there, err := s.core.BucketExists(ctx, s.bucket)
	switch {
	case err != nil:
		return s.faultWithin(ctx, limit, "find the bucket", err)
	case !there:
		return s.fault(ctx, "find the bucket", minio.ErrorResponse{Code: "NoSuchBucket"})
	}
	return nil
}

// Put stores an object of size bytes; one of the same key is replaced. It is durable when
// Put returns, and nothing of it is there after an error.
func (s *S3) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	data, err := exactly(r, size)
	if err != nil {
		return fmt.Errorf("archive %s: store %s: %w", s.place, key, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err = s.core.Client.PutObject(ctx, s.bucket, s.prefix+key, data, size, minio.PutObjectOptions{
		ContentType: "application/octet-stream", SendContentMd5: true, DisableMultipart: true,
		DisableContentSha256: size == 0, // else nothing would be sent in pieces, whose length some services ask for
	})
	if err != nil {
		return s.fault(ctx, "store "+key, err)
	}
	return nil
}

// exactly makes a reader of size bytes that can be read again when a request is repeated.
func exactly(r io.Reader, size int64) (*bytes.Reader, error) {
	if held, ok := r.(*bytes.Reader); ok && int64(held.Len()) == size {
		return held, nil
	}
	data, err := io.ReadAll(io.LimitReader(r, size+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != size {
		return nil, fmt.Errorf("it has %d bytes or more, not %d", len(data), size)
	}
	return bytes.NewReader(data), nil
}

// ReadRange returns n bytes of an object from an offset on. An object that is not there
// is fs.ErrNotExist; fewer bytes than n are io.ErrUnexpectedEOF.
func (s *S3) ReadRange(ctx context.Context, key string, off, n int64) ([]byte, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	doing := fmt.Sprintf("read %d bytes at byte %d of %s", n, off, key)
	if off < 0 || n < 0 || off > off+n {
		return nil, fmt.Errorf("archive %s: %s: %w", s.place, doing, io.ErrUnexpectedEOF)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if n == 0 {
		info, err := s.core.StatObject(ctx, s.bucket, s.prefix+key, minio.StatObjectOptions{})
		if err == nil && off > info.Size {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, s.fault(ctx, doing, err)
		}
		return []byte{}, nil
	}
	var o minio.GetObjectOptions
	if err := o.SetRange(off, off+n-1); err != nil {
		return nil, s.fault(ctx, doing, err)
	}
	body, _, _, err := s.core.GetObject(ctx, s.bucket, s.prefix+key, o)
	if err != nil {
		return nil, s.fault(ctx, doing, err)
	}
	data := make([]byte, n)
	_, err = io.ReadFull(body, data)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, s.fault(ctx, doing, err)
	}
	return data, nil
}

// Delete removes an object. One that is not there is no error.
func (s *S3) Delete(ctx context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.core.RemoveObject(ctx, s.bucket, s.prefix+key, minio.RemoveObjectOptions{})
	if err = s.fault(ctx, "delete "+key, err); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// List yields the objects whose keys begin with a prefix, in the order of keys. The
// consumer's own time counts too, so it is not bounded here but by ctx.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for o := range s.core.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}) {
			if o.Err != nil {
				yield(Object{}, s.fault(ctx, "list objects", o.Err))
				return
			}
			if !yield(Object{Key: strings.TrimPrefix(o.Key, s.prefix), Size: o.Size}, nil) {
				return
			}
		}
	}
}

// fault adds what was done, on what, and what to do about it; nil stays nil.
func (s *S3) fault(ctx context.Context, doing string, err error) error {
	return s.faultWithin(ctx, s.timeout, doing, err)
}

// faultWithin is fault for a call with a time limit.
func (s *S3) faultWithin(ctx context.Context, limit time.Duration, doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("archive %s: %s: no answer within %s: check the service and the network to it: %w", s.place, doing, limit, err)
	}
	advice := ""
	var answer minio.ErrorResponse
	if errors.As(err, &answer) {
		switch answer.Code {
		case "NoSuchKey":
			return fmt.Errorf("archive %s: %s: %w", s.place, doing, fs.ErrNotExist)
		case "InvalidRange":
			return fmt.Errorf("archive %s: %s: %w", s.place, doing, io.ErrUnexpectedEOF)
		case "NoSuchBucket":
			advice = ": create the bucket, or correct the archive's address"
		case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken":
			advice = ": the credentials are refused; check the access key, its secret and its rights on the bucket"
		}
		if advice == "" && answer.StatusCode == http.StatusForbidden {
			advice = ": it is forbidden; check the credentials and their rights on the bucket"
		}
		if answer.Code != "" {
			return fmt.Errorf("archive %s: %s: %s (%w)%s", s.place, doing, answer.Code, err, advice)
		}
	}
	return fmt.Errorf("archive %s: %s: %w", s.place, doing, err)
}
