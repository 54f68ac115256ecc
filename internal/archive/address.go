package archive

import (
	"fmt"
	"net/url"
	"strings"
)

// ParseS3 reads an address: s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=R&path_style=true.
// Without an endpoint it is Amazon's. Credentials do not belong into it.
func ParseS3(address string) (S3Options, error) {
	wrong := func(why string, args ...any) (S3Options, error) {
		return S3Options{}, fmt.Errorf("archive address %q: %s; write it like s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION",
			redacted(address), fmt.Sprintf(why, args...))
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return wrong("it cannot be read as an address")
	case u.Scheme != "s3":
		return wrong("it does not begin with s3://")
	case u.User != nil:
		return wrong("credentials do not belong into it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case u.Host == "" || strings.Contains(u.Host, ":"):
		return wrong("it names no bucket")
	case !validBucket(u.Host):
		return wrong("no bucket can be called %q: its name has 3 to 63 lower-case letters, digits, dots and hyphens, and a letter or digit at both ends", u.Host)
	}
	if prefix := strings.Trim(u.Path, "/"); prefix != "" {
		if err := CheckKey(prefix); err != nil {
			return wrong("the prefix is not possible: %v", err)
		}
	}
	o := S3Options{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), Endpoint: "s3.amazonaws.com"}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return wrong("what follows ? cannot be read")
	}
	for name, given := range values {
		value := given[len(given)-1]
		switch name {
		case "endpoint":
			e, err := url.Parse(value)
			if err != nil || e.Host == "" || e.Scheme != "http" && e.Scheme != "https" || strings.Trim(e.Path, "/") != "" || e.User != nil {
				return wrong("the endpoint is not https://HOST or https://HOST:PORT")
			}
			o.Endpoint, o.Plain = e.Host, e.Scheme == "http"
		case "region":
			o.Region = value
		case "path_style":
			if value != "true" && value != "false" {
				return wrong("path_style is true or false")
			}
			o.PathStyle = value == "true"
		default:
			return wrong("%q is unknown: there are endpoint, region and path_style", name)
		}
	}
	return o, nil
}

// redacted is an address without anything before an @ that could be a secret.
func redacted(address string) string {
	scheme, rest, found := strings.Cut(address, "://")
	if at := strings.LastIndexByte(rest, '@'); found && at >= 0 {
		return scheme + "://…" + rest[at:]
	}
	return address
}

// validBucket reports whether S3 and compatible services can have a bucket of this name.
func validBucket(name string) bool {
	for i, c := range []byte(name) {
		inside := i > 0 && i < len(name)-1
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (!inside || c != '-' && c != '.') {
			return false
		}
	}
	return len(name) >= 3 && len(name) <= 63 && !strings.Contains(name, "..")
}
